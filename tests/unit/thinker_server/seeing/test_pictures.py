"""What may be looked at, and what of a description reaches the prompt."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.unit.thinker_server.seeing.doubles import jpeg_of
from thinker_server.config import ThinkerConfig
from thinker_server.dialogue import Exchange
from thinker_server.errors import EyesUnavailable, PictureRefused
from thinker_server.seeing.choice import choose_eyes
from thinker_server.seeing.eyes import MAX_CHARACTERS, one_sentence
from thinker_server.seeing.openai_eyes import OpenAIEyes
from thinker_server.seeing.picture import MAX_BYTES, MAX_SIDE, read_picture

pytestmark = pytest.mark.unit


def png() -> np.ndarray:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return np.frombuffer(file.getvalue(), np.uint8)


def test_a_camera_frame_becomes_an_rgb_picture() -> None:
    picture = read_picture(jpeg_of(Image.new("L", (64, 36), 200)))
    assert (picture.mode, picture.size) == ("RGB", (64, 36))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros(0, np.uint8), "no whole JPEG"),
        (np.frombuffer(b"GIF89a-and-more", np.uint8), "no whole JPEG"),
        (png(), "no whole JPEG"),
        (jpeg_of(Image.new("RGB", (64, 64)))[:-300], "no whole JPEG"),
        (jpeg_of(Image.new("RGB", (MAX_SIDE + 1, 8))), "pixels"),
        (np.zeros(MAX_BYTES + 1, np.uint8), "bytes"),
    ],
    ids=["nothing", "another kind", "a PNG", "half a file", "too wide", "too many bytes"],
)
def test_what_is_no_small_jpeg_is_refused(frame: np.ndarray, reason: str) -> None:
    with pytest.raises(PictureRefused, match=reason):
        read_picture(frame)


def test_only_one_line_and_one_sentence_of_a_description_is_kept() -> None:
    assert one_sentence("  A man\nholds a cup. He smiles. ") == "A man holds a cup."
    assert one_sentence("Ein Raum") == "Ein Raum"
    assert len(one_sentence("word " * 500)) == MAX_CHARACTERS


def test_the_brain_reads_what_was_seen_before_what_was_said_and_keeps_it() -> None:
    exchange = Exchange(1, "What is this?")
    exchange.see("A hand holds a cup.")
    assert exchange.question == (
        "(You see me through my camera: A hand holds a cup.) What is this?"
    )
    assert exchange.messages()[0].text == exchange.question


def test_a_thinker_is_blind_unless_it_is_given_eyes() -> None:
    assert choose_eyes(ThinkerConfig()) is None


def test_eyes_on_a_server_need_a_model_and_use_the_brains_address() -> None:
    with pytest.raises(EyesUnavailable, match="eyes_model"):
        choose_eyes(ThinkerConfig(eyes="openai"))
    eyes = choose_eyes(ThinkerConfig(eyes="openai", eyes_model="m", openai_base_url="http://a/v1"))
    assert isinstance(eyes, OpenAIEyes)
    assert eyes.label == "m"
