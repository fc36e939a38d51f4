"""What the page hands over becomes a recording on one clock."""

import base64
from typing import Any

import numpy as np
import pytest

from services.callbench.questions import clip, questions
from services.callbench.recording import CROP_PIXELS, THUMB_PIXELS, Recorder
from services.callbench.report import percentile

pytestmark = pytest.mark.unit

HZ = 48_000
OFFSET_S = 1000.0


def part(blocks: list[tuple[int, np.ndarray]], frames: int = 0) -> dict[str, Any]:
    """A part as the page sends it. Blocks: (number of the first sample, int16 samples)."""
    pcm = np.concatenate([samples for _, samples in blocks]) if blocks else np.zeros(0, np.int16)
    at = [{"at": 1e6 + 40 * i, "presented": i, "width": 256, "height": 256} for i in range(frames)]
    return {
        "audio": [(first, len(samples)) for first, samples in blocks],
        "pcm": base64.b64encode(pcm.astype(np.int16).tobytes()).decode(),
        "frames": at,
        "crops": base64.b64encode(bytes(frames * CROP_PIXELS**2)).decode(),
        "thumbs": base64.b64encode(bytes(frames * THUMB_PIXELS**2)).decode(),
        "stats": [],
        "marks": [{"name": "first_frame", "at": 1e6, "detail": ""}],
        "clock": [
            {"audio": 0.0, "offset": 1e3 * OFFSET_S},
            {"audio": 9.0, "offset": 1e3 * OFFSET_S},
        ],
        "sample_hz": HZ,
    }


def test_blocks_are_joined_and_a_gap_is_silence() -> None:
    ones = np.full(960, 32767, np.int16)
    recorder = Recorder()
    recorder.add(part([(0, ones), (960, ones)]))
    recorder.add(part([(9600, ones)], frames=3))
    recording = recorder.recording()
    sound = recording.sound
    assert sound.start_s == pytest.approx(OFFSET_S)
    assert len(sound.samples) == 10_560
    assert sound.samples[:1920].min() == 1
    assert not sound.samples[1920:9600].any()
    assert sound.samples[9600:].min() == 1
    assert recording.frames.crops.shape == (3, CROP_PIXELS, CROP_PIXELS)
    mark = recording.mark("first_frame")
    assert mark is not None
    assert mark.at_s == 1000


def test_a_call_in_which_nothing_arrived_is_empty_and_not_an_error() -> None:
    recorder = Recorder()
    recorder.add(part([]))
    recording = recorder.recording()
    assert not len(recording.sound.samples)
    assert not len(recording.frames.at_s)


@pytest.mark.parametrize("question_id", sorted(questions()))
def test_every_question_is_recorded_with_silence_round_its_voice(question_id: str) -> None:
    recorded = clip(question_id)
    assert recorded.wav.startswith(b"RIFF")
    assert 0.1 < recorded.voice_start_s < 0.6
    assert 1.0 < recorded.voice_end_s - recorded.voice_start_s < 5.0
    assert recorded.duration_s - recorded.voice_end_s > 0.1


def test_percentiles_leave_out_what_was_not_measured_and_none_stays_none() -> None:
    assert percentile([1.0, None, 3.0], 50) == 2.0
    assert percentile([None], 50) is None
