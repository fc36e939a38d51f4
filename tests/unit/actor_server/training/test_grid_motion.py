"""GRID's clips become latents of the portrait's face."""

from pathlib import Path

import numpy as np
import pytest

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.training.grid_motion import (
    CLOSED_RATIO,
    lid_closure,
    read_grid_clips,
    split_clips,
    without_gaps,
)
from proto.messages import Phone
from tests.unit.actor_server.training.material import CLIP_FRAMES, write_grid

pytestmark = pytest.mark.unit


def test_splits_hold_every_clip_once_in_the_agreed_shares() -> None:
    names = [f"clip{number}" for number in range(900)]
    split = split_clips(names, seed=0)
    assert {name: len(clips) for name, clips in split.items()} == {
        "train": 540,
        "held_out": 117,
        "judge": 243,
    }
    assert sorted(name for clips in split.values() for name in clips) == sorted(names)
    assert split == split_clips(names, seed=0)
    assert split != split_clips(names, seed=1)


def test_a_clip_gives_its_opening_its_voice_and_its_doubtful_frames(tmp_path: Path) -> None:
    write_grid(tmp_path)
    clip, _ = read_grid_clips(tmp_path)
    assert clip.name == "aa1"
    assert np.flatnonzero(~clip.usable).tolist() == [40, 41, 42]
    opening = clip.mouths @ mouth_basis().features["gap"]
    wanted = np.maximum(0, np.sin(np.linspace(0, 6 * np.pi, CLIP_FRAMES)))
    sure = clip.usable
    assert np.corrcoef(opening[sure], wanted[sure])[0, 1] > 0.99
    loud = clip.features.reshape(CLIP_FRAMES, -1).mean(1)
    assert loud[30:45].min() > loud[5:20].max() + 0.3
    assert [phone.symbol for phone in clip.phones or ()] == ["SIL", "AA", "SIL"]
    np.testing.assert_allclose(clip.gaze[sure], 0, atol=0.02)


def test_lids_are_closed_at_the_least_opening_and_open_at_the_usual_one() -> None:
    closure = lid_closure(np.array([CLOSED_RATIO, 0.36, 0.21, 0.40], np.float32), 0.36)
    np.testing.assert_allclose(closure[:3], [1.0, 0.0, 0.5], atol=1e-5)
    assert -0.4 <= closure[3] < 0


def test_silence_is_named_between_and_around_phones() -> None:
    phones = (
        Phone(symbol="B", start_us=100, end_us=200),
        Phone(symbol="IY", start_us=200, end_us=300),
        Phone(symbol="S", start_us=350, end_us=400),
    )
    filled = without_gaps(phones, 500)
    assert [(p.symbol, p.start_us, p.end_us) for p in filled] == [
        ("SIL", 0, 100),
        ("B", 100, 200),
        ("IY", 200, 300),
        ("SIL", 300, 350),
        ("S", 350, 400),
        ("SIL", 400, 500),
    ]
