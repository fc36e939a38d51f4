"""What a run says about itself can be read again."""

import json
import sys
from pathlib import Path

import pytest

from actor_server.training.journal import FIGURES_NAME, Journal

pytestmark = pytest.mark.unit


def test_figures_are_lines_that_a_resumed_run_goes_on_with(tmp_path: Path) -> None:
    for step in (1, 2):
        with Journal(tmp_path, tensorboard=False) as journal:
            journal.record(step, {"loss": 1 / (3 * step)})
    lines = [json.loads(line) for line in (tmp_path / FIGURES_NAME).read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 0.33333}, {"step": 2, "loss": 0.16667}]


def test_tensorboard_shows_the_same_figures(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Journal(tmp_path, tensorboard=True) as journal:
        journal.record(1, {"loss": 2.0, "held_out/gap_r": 0.5})
        journal.record(2, {"loss": 1.0})
    board = events.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(e.step, e.value) for e in board.Scalars("loss")] == [(1, 2.0), (2, 1.0)]
    assert [(e.step, e.value) for e in board.Scalars("held_out/gap_r")] == [(1, 0.5)]


def test_without_tensorboard_the_command_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SystemExit, match="uv sync --group train"):
        Journal(tmp_path, tensorboard=True)
