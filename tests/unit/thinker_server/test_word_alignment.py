"""Which word became which."""

import pytest

from thinker_server.speaking.word_alignment import align_words

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("source", "target", "places"),
    [
        ("a b c", "a b c", [0, 1, 2]),
        ("a ** b", "a b", [0, 1, 1]),
        ("it is 3 km long", "it is three kilometres long", [0, 1, 2, 3, 4]),
        ("at 7:30 pm now", "at seven thirty PM. now", [0, 1, 3, 4]),
        ("Paris, yes!", "paris yes right", [0, 1]),
        ("end :)", "end", [0, 1]),
        ("", "a", []),
        ("a", "", [0]),
    ],
)
def test_words_find_their_place(source: str, target: str, places: list[int]) -> None:
    assert align_words(source.split(), target.split()) == places


def test_places_never_go_back() -> None:
    target = "one x two three four y nine z".split()  # noqa: SIM905
    places = align_words(["x", "1", "2", "3", "y", "z", "9"], target)
    assert places == sorted(places)
