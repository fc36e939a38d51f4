"""What a step makes of its judge's answers about several pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from actor_server.training.curation.clip import Clip
from actor_server.training.curation.criteria import PRESETS
from actor_server.training.curation.judges import Box
from actor_server.training.curation.steps import count_people, track_face
from tests.unit.actor_server.training.curation.footage import Shot, write_video

pytestmark = pytest.mark.unit

CRITERIA = PRESETS["finetune"]


class Answers:
    """A PersonCounter and a FaceFinder that answers one picture after the other."""

    def __init__(self, *answers: list[Box]) -> None:
        self._answers: Iterator[list[Box]] = iter(answers)

    def faces(self, picture: np.ndarray) -> list[Box]:
        return next(self._answers)

    def count(self, picture: np.ndarray) -> int:
        return len(next(self._answers))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Three pictures for who counts people, five for who looks for faces."""
    video = tmp_path_factory.mktemp("steps") / "a.mkv"
    write_video(video, [Shot(1.0)])
    return Clip("a", str(video), 0, 25)


HERE: Box = (40.0, 20.0, 30.0, 46.0)
THERE: Box = (60.0, 20.0, 30.0, 46.0)


@pytest.mark.parametrize(("people", "found"), [([1, 1, 1], 1), ([1, 0, 1], 0), ([1, 0, 2], 2)])
def test_one_picture_with_others_or_nobody_rejects(
    clip: Clip, people: list[int], found: int
) -> None:
    counter = Answers(*([HERE] * count for count in people))
    (judged,) = count_people(counter, clip, CRITERIA, Path())
    assert judged.people == found
    assert (judged.rejected is None) == (found == 1)


def test_two_faces_are_no_face(clip: Clip) -> None:
    faces = [[HERE]] * 3 + [[HERE, THERE], []]
    (judged,) = track_face(Answers(*faces), clip, CRITERIA, Path())
    assert judged.face_share == 0.6
    assert judged.rejected == "face_share 0.6 is not >= 0.95"
    assert judged.crop_side is None


def test_the_square_holds_the_face_wherever_it_goes(clip: Clip) -> None:
    (judged,) = track_face(Answers(*[[HERE]] * 5), clip, CRITERIA, Path())
    square = (judged.crop_left, judged.crop_top, judged.crop_side)
    assert square == pytest.approx((55 - 50, 43 - 48, 100))  # 46 pixels are 46 % of it
    far: Box = (340.0, 20.0, 30.0, 46.0)
    (judged,) = track_face(Answers(*[[HERE]] * 4, [far]), clip, CRITERIA, Path())
    assert (judged.crop_left, judged.crop_side) == pytest.approx((40, 330))
