"""Sixty pictures that no camera makes; `make fuzz` uploads 500."""

from pathlib import Path

import pytest

from tests.fuzz.bad_pictures import FAMILIES, bad_picture
from tests.fuzz.pictures import fuzz_pictures

pytestmark = pytest.mark.unit

PICTURES = 60
MEMORY_LIMIT_MB = 700
"""50 million pixels of four bytes, once more premultiplied, and what libraries keep."""


def test_the_same_number_makes_the_same_picture() -> None:
    for number in range(len(FAMILIES)):
        assert bad_picture(number) == bad_picture(number)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_every_bad_picture_gets_a_clear_answer_in_bounded_memory(assets_dir: Path) -> None:
    figures = fuzz_pictures(PICTURES, assets_dir)
    assert not figures.findings
    assert figures.answers["not_an_image"] > PICTURES // 4
    assert figures.answers["ok"] > 2, "some are readable, so that what comes after is tried too"
    assert figures.peak_mb is not None
    assert figures.peak_mb < MEMORY_LIMIT_MB
