"""A recording goes on in the live track without a word lost or said twice."""

import io

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from proto.time_law import HEARING_HZ
from services.callbench.questions import clip
from services.room_agent.splice import Recorded

pytestmark = pytest.mark.unit


def spoken(question_id: str) -> NDArray[np.int16]:
    sound, rate_hz = soundfile.read(io.BytesIO(clip(question_id).wav), dtype="float32")
    return (resample_poly(sound, 1, rate_hz // HEARING_HZ) * 32_767).astype(np.int16)


SENTENCE = spoken("france")
NOISE = np.random.default_rng(1).normal(0, 20, 60_000).astype(np.int16)


LIVE = HEARING_HZ


def live_from(at: int) -> NDArray[np.int16]:
    """The sentence from there on as a second encoding gives it, softer and with its own noise."""
    sound = SENTENCE[at : at + LIVE]
    return (0.7 * sound + NOISE[: len(sound)]).astype(np.int16)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("begin_s", [0.2, 0.5, 0.9, 1.2])
@pytest.mark.parametrize("overlap_s", [0.45, 0.6, 0.8])
def test_what_both_have_is_heard_once(begin_s: float, overlap_s: float, ended: bool) -> None:
    begin = round(begin_s * HEARING_HZ)
    until = begin + round(overlap_s * HEARING_HZ)
    late = HEARING_HZ // 10  # the browser's parts come late
    recorded = Recorded(SENTENCE[:until], until - begin + late, ended)
    live = live_from(begin)
    whole = recorded.then(live)
    assert len(whole) == begin + len(live)
    expected = SENTENCE[: len(whole)].astype(float)
    assert np.corrcoef(whole.astype(float), expected)[0, 1] > 0.98


def test_a_recording_that_ended_where_the_track_begins_is_heard_whole() -> None:
    begin = HEARING_HZ
    live = live_from(begin)
    whole = Recorded(SENTENCE[:begin], 0, ended=True).then(live)
    assert whole.tobytes() == np.concatenate([SENTENCE[:begin], live]).tobytes()


def test_in_silence_only_a_recording_that_goes_on_is_cut_by_time() -> None:
    silence = np.zeros(HEARING_HZ, np.int16)
    live = silence[:LIVE]
    assert len(Recorded(silence, 4_000, ended=False).then(live)) == 12_000 + len(live)
    assert len(Recorded(silence, 4_000, ended=True).then(live)) == 16_000 + len(live)


def test_other_words_are_not_taken_for_the_same() -> None:
    before, live = SENTENCE, spoken("breakfast")[8_000 : 8_000 + LIVE]
    whole = Recorded(before, HEARING_HZ, ended=True).then(live)
    assert len(whole) == len(before) + len(live)


def test_words_of_long_before_are_not_searched() -> None:
    """Who says the same words again is heard twice."""
    pause = NOISE[: 2 * HEARING_HZ]
    twice = np.concatenate([SENTENCE, pause])
    live = live_from(0)
    assert len(Recorded(twice, HEARING_HZ // 10, ended=True).then(live)) == len(twice) + len(live)


def test_a_track_without_sound_yet_leaves_the_recording_whole() -> None:
    assert Recorded(SENTENCE, 0).then(np.zeros(0, np.int16)).tobytes() == SENTENCE.tobytes()
