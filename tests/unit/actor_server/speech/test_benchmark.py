"""The decoder's benchmark measures what it says."""

import json
import sys
from pathlib import Path

import pytest

from actor_server.speech import benchmark
from actor_server.speech.glm4voice import BLOCK_TOKENS

pytestmark = pytest.mark.unit


def test_a_measurement_says_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "STEADY_BLOCKS", 2)
    monkeypatch.setattr(benchmark, "PROMPT_BLOCKS", 0)
    out = tmp_path / "speech.json"
    monkeypatch.setattr(sys, "argv", ["x", "--tiny", "--device", "cpu", "--out", str(out)])
    benchmark.main()
    found = json.loads(out.read_text())
    assert found["size"] == "tiny"
    assert 0 < found["first_samples_ms"] < found["first_chunk_ms"]
    media_ms = 1000 * BLOCK_TOKENS * 0.08
    assert found["real_time_factor"] == pytest.approx(found["block_ms"] / media_ms, rel=0.02)
