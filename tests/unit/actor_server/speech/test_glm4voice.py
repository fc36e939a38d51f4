"""GLM-4-Voice's decoder behind the seam, with tiny random weights."""

from pathlib import Path

import numpy as np
import pytest

from actor_server.speech.choice import choose_speech
from actor_server.speech.glm4voice import BLOCK_TOKENS, Glm4VoiceSpeech
from actor_server.speech.stream import Codes
from actor_server.speech.tiny import write_tiny
from proto.time_law import TOKEN_SAMPLES

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    write_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def speech(folder: Path) -> Glm4VoiceSpeech:
    return Glm4VoiceSpeech.from_files(folder, "cpu")


def random_codes(count: int) -> Codes:
    return np.random.default_rng(3).integers(0, 16_384, count).astype(np.int32)


def spoken(speech: Glm4VoiceSpeech, codes: Codes) -> list[np.ndarray]:
    """What each block of a reply gives."""
    stream, given = speech.open(), []
    while len(codes) >= stream.next_block:
        block, codes = np.split(codes, [stream.next_block])
        given.append(stream.extend(block))
    return [*given, stream.finish(codes)]


def test_first_samples_come_at_six_tokens_and_the_first_chunk_at_ten(
    speech: Glm4VoiceSpeech,
) -> None:
    stream = speech.open()
    assert stream.next_block == 6
    early = stream.extend(random_codes(6))
    assert len(early) > 0
    assert stream.next_block == 4
    assert len(early) + len(stream.extend(random_codes(4))) >= 4 * TOKEN_SAMPLES


@pytest.mark.parametrize("tokens", [0, 1, 6, 10, 26, 70])
def test_a_reply_has_the_samples_of_its_tokens(speech: Glm4VoiceSpeech, tokens: int) -> None:
    given = spoken(speech, random_codes(tokens))
    assert sum(map(len, given)) == tokens * TOKEN_SAMPLES


def test_speech_never_falls_behind_its_tail(speech: Glm4VoiceSpeech) -> None:
    given = np.cumsum([len(samples) for samples in spoken(speech, random_codes(91))])
    ends = np.cumsum([6, 4, 8, 8, *[BLOCK_TOKENS] * 5])
    late = ends * TOKEN_SAMPLES - given[: len(ends)]
    assert late.max() < 0.43 * 24_000


def test_the_same_tokens_give_the_same_speech_and_others_other(speech: Glm4VoiceSpeech) -> None:
    first, again = (np.concatenate(spoken(speech, random_codes(30))) for _ in range(2))
    assert np.array_equal(first, again)
    other = np.concatenate(spoken(speech, random_codes(30)[::-1].copy()))
    assert np.abs(first.astype(int) - other).mean() > 100
    assert np.abs(first.astype(int)).mean() > 100


def test_an_actor_whose_speech_is_carried_has_no_decoder(tmp_path: Path) -> None:
    assert choose_speech("carried", tmp_path / "nowhere", "auto") is None


def test_the_decoder_is_there_when_asked_for(folder: Path) -> None:
    decoder = choose_speech("glm4voice", folder, "cpu")
    assert decoder is not None
    assert (decoder.label, decoder.codes) == ("glm-4-voice", 16_384)
