"""Cuts of clips: the frames that were drawn, square, from files that training can use."""

from pathlib import Path

import numpy as np
import pytest

from actor_server.training.video_clips import VideoFolder, length_of, pictures_of
from tests.unit.actor_server.training.clips import write_clip

pytestmark = pytest.mark.unit


def test_a_cut_is_successive_frames_of_a_clip(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write_clip(tmp_path / "below" / "a.mp4", 30)
    folder = VideoFolder(tmp_path, frames=9, size=32)
    firsts = set()
    for seed in range(12):
        cut = folder.cut(np.random.default_rng(seed))
        assert cut.shape == (9, 32, 32, 3)
        whole = np.stack([picture.mean() for picture in pictures_of(folder.files[0].path)])
        steps = np.diff([picture.mean() for picture in cut])
        assert np.abs(steps - 2).max() < 2
        firsts.add(int(np.abs(whole - cut[0].mean()).argmin()))
    assert len(firsts) > 4
    assert all(0 <= first <= 21 for first in firsts)


def test_the_same_dice_cut_the_same(tmp_path: Path) -> None:
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", 12)
    folder = VideoFolder(tmp_path, frames=9, size=32)
    first, again = (folder.cut(np.random.default_rng([1, 5])) for _ in range(2))
    assert np.array_equal(first, again)


def test_only_the_middle_of_a_wide_picture_is_seen(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 9, width=128)
    (first, *_) = pictures_of(tmp_path / "a.mp4")
    cut = VideoFolder(tmp_path, frames=9, size=64).cut(np.random.default_rng(0))
    assert np.array_equal(cut[0], first[:, 32:96])


def test_short_clips_are_left_out(tmp_path: Path) -> None:
    write_clip(tmp_path / "short.mp4", 8)
    write_clip(tmp_path / "long.mp4", 9)
    assert [file.path.name for file in VideoFolder(tmp_path, 9, 32).files] == ["long.mp4"]
    with pytest.raises(ValueError, match=r"holds 2 videos .* none of 17 frames or more"):
        VideoFolder(tmp_path, 17, 32)


def test_a_clip_that_training_cannot_use_is_named(tmp_path: Path) -> None:
    write_clip(tmp_path / "fast.mp4", 9, rate=30)
    with pytest.raises(ValueError, match=r"fast\.mp4 has 30 frames a second.*ffmpeg"):
        length_of(tmp_path / "fast.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(ValueError, match=r"broken\.mp4 cannot be read, remove it"):
        length_of(tmp_path / "broken.mp4")
