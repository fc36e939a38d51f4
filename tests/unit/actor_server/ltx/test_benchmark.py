"""The comparison measures what it says."""

import json
import sys
from pathlib import Path

import pytest

from actor_server.codec.ltx import benchmark

pytestmark = pytest.mark.unit


def test_a_comparison_says_what_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "RIGHTS", (0, 4))
    monkeypatch.setattr(benchmark, "LEFTS", (1,))
    out = tmp_path / "ltx.json"
    monkeypatch.setattr(sys, "argv", ["x", "--size", "tiny", "--device", "cpu", "--out", str(out)])
    benchmark.main()
    found = json.loads(out.read_text())
    assert found["size"] == "tiny"
    assert found["causal"]["largest_error"] <= 1e-5
    assert found["causal"]["memory_mb"] > 0
    ahead = found["run_ahead"]
    assert ahead[0]["right"] == 0
    assert ahead[-1]["right"] == found["reach_latents"]
    assert ahead[0]["relative_error"] > 0.01
    assert ahead[-1]["relative_error"] < 1e-5
    assert all(row["chunk_ms"] > 0 for row in [found["causal"], *ahead])
    released = found["released_size"]
    assert released["causal_gflop"] == pytest.approx(657, rel=0.02)  # of diffusers' own decode
    assert released["run_ahead_gflop"]["0"] < released["run_ahead_gflop"]["4"]
