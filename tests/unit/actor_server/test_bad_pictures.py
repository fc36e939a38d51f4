"""Sixty pictures that no camera makes; `make fuzz` uploads 500."""

from pathlib import Path

import pytest

from actor_server.portrait.decoding_process import PictureDecoder
from tests.fuzz.bad_pictures import FAMILIES, bad_picture, whole_bomb
from tests.fuzz.pictures import fuzz_pictures, peak_memory

pytestmark = pytest.mark.unit

PICTURES = 60
MEMORY_LIMIT_MB = 700
"""Of what decodes: 50 million pixels of four bytes, once more premultiplied, and Python."""


def test_the_same_number_makes_the_same_picture() -> None:
    for number in range(len(FAMILIES)):
        assert bad_picture(number) == bad_picture(number)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_every_bad_picture_gets_a_clear_answer_in_bounded_memory(assets_dir: Path) -> None:
    figures = fuzz_pictures(PICTURES, assets_dir)
    assert not figures.findings
    assert figures.answers["not_an_image"] > PICTURES // 4
    assert figures.answers["ok"] > 2, "some are readable, so that what comes after is tried too"
    assert figures.decoder_peak_mb is not None
    assert figures.decoder_peak_mb < MEMORY_LIMIT_MB


def test_the_largest_picture_takes_its_pixels_memory_in_another_process() -> None:
    decoder = PictureDecoder()
    try:
        with peak_memory() as peak:
            decoder.decode(whole_bomb(4))
    finally:
        decoder.close()
    assert peak.own_mb < 100
    assert 200 < peak.decoder_mb < MEMORY_LIMIT_MB
