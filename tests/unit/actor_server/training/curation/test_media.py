"""Clips as judges see and hear them: 25 pictures a second, sound that belongs to them."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest

from actor_server.training.curation.clip import Clip
from actor_server.training.curation.media import ClipUnusable, pictures_of, sound_of
from tests.unit.actor_server.training.clips import write_clip
from tests.unit.actor_server.training.curation.footage import (
    ENGLISH_HZ,
    SOUND_HZ,
    Shot,
    write_video,
)

pytestmark = pytest.mark.unit

SHOT = Shot(2.0)


def numbers(pictures: Iterable[np.ndarray], video: Path) -> list[int]:
    """Which of the video's frames they are; each is a little brighter than the one before."""
    with av.open(str(video)) as container:
        light = [f.to_ndarray(format="rgb24").mean() for f in container.decode(video=0)]
    return [int(np.abs(np.array(light) - picture.mean()).argmin()) for picture in pictures]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "a.mkv"
    write_video(path, [SHOT])
    return path


@pytest.mark.parametrize(("rate", "expected"), [(25, [12, 15, 18, 21]), (50, [24, 30, 36, 42])])
def test_pictures_are_those_of_the_clip(tmp_path: Path, rate: int, expected: list[int]) -> None:
    write_clip(tmp_path / "a.mp4", 60, rate=rate)
    found = pictures_of(tmp_path / "a.mp4", first=12, frames=10, every=3)
    assert numbers(found, tmp_path / "a.mp4") == expected


def test_a_slow_video_shows_a_picture_again(tmp_path: Path) -> None:
    write_clip(tmp_path / "slow.mkv", 30, rate=15)
    found = numbers(pictures_of(tmp_path / "slow.mkv", 5, 6), tmp_path / "slow.mkv")
    assert found == [3, 3, 4, 4, 5, 6]  # at 200, 240, 280 ... ms, in frames of 66.7 ms


def test_sound_begins_with_the_first_picture(video: Path) -> None:
    whole = SHOT.sound()
    first, frames = 13, 20
    begin = first * SOUND_HZ // 25
    found = sound_of(video, first, frames, SOUND_HZ)
    assert np.abs(found - whole[begin : begin + len(found)]).max() < 1e-3
    assert len(found) == frames * SOUND_HZ // 25


def test_sound_has_the_rate_that_is_asked_for(video: Path) -> None:
    sound = sound_of(video, 0, 50, 8000)
    spectrum = np.abs(np.fft.rfft(sound))
    spectrum[: len(spectrum) // 40] = 0  # hum
    assert np.argmax(spectrum) / 2.0 == pytest.approx(ENGLISH_HZ, abs=4)


def test_a_clip_that_cannot_be_seen_or_heard_says_why(video: Path, tmp_path: Path) -> None:
    with pytest.raises(ClipUnusable, match=r"ends before 2\.\d\d s"):
        list(pictures_of(video, 40, 20))
    write_video(tmp_path / "silent.mkv", [SHOT], silent=True)
    with pytest.raises(ClipUnusable, match=r"silent\.mkv has no sound"):
        sound_of(tmp_path / "silent.mkv", 0, 10, SOUND_HZ)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(ClipUnusable, match=r"broken\.mp4 cannot be read"):
        next(pictures_of(tmp_path / "broken.mp4", 0, 1))


def test_faces_are_cut_where_the_crop_says(video: Path) -> None:
    clip = Clip("a", str(video), 0, 5, crop_left=50.0, crop_top=30.0, crop_side=60.0)
    (whole, *_), (face, *_) = list(clip.pictures()), list(clip.faces(60))
    assert np.abs(face[2:-2, 2:-2].astype(int) - whole[32:88, 52:108]).mean() < 2
    assert next(clip.faces(30)).shape == (30, 30, 3)
