"""LiveKit's own models on recorded questions: a pause for thought is not the end of the turn."""

import io

import numpy as np
import pytest
import soundfile
from livekit.local_inference import EOT_MAX_SAMPLES
from scipy.signal import resample_poly

from proto.time_law import HEARING_HZ
from services.callbench.questions import MICROPHONE_HZ, clip, questions
from services.room_agent.ears import local_turn_model, local_voice_model
from services.room_agent.turn_detector import WINDOW_SAMPLES, TurnDetector, TurnTuning

pytestmark = pytest.mark.unit

HESITATION_S = 0.5
QUIET = np.zeros(HEARING_HZ, np.int16)


def ends_of_turns(pcm: np.ndarray, tuning: TurnTuning) -> list[float]:
    """Where in (N,) s16 turns end, in seconds."""
    voice, turn, detector = local_voice_model(), local_turn_model(), TurnDetector(tuning)
    ends = []
    for end in range(WINDOW_SAMPLES, len(pcm), WINDOW_SAMPLES):
        event = detector.hear(voice.predict(pcm[end - WINDOW_SAMPLES : end]), busy=False)
        if detector.wants_judgement:
            detector.judge(turn.predict(pcm[max(0, end - EOT_MAX_SAMPLES) : end]))
        if event is not None and event.kind == "ended":
            ends.append(detector.now_us / 1e6)
    return ends


@pytest.mark.parametrize("question_id", sorted(questions()))
def test_a_pause_inside_a_question_does_not_end_it(question_id: str) -> None:
    hesitating = clip(question_id, HESITATION_S)
    recorded, _ = soundfile.read(io.BytesIO(hesitating.wav), dtype="int16")
    heard = resample_poly(recorded.astype(np.float64), HEARING_HZ, MICROPHONE_HZ)
    pcm = np.concatenate([QUIET, heard.round().astype(np.int16), QUIET, QUIET])
    (ended_s,) = ends_of_turns(pcm, TurnTuning())
    assert ended_s >= hesitating.voice_end_s + len(QUIET) / HEARING_HZ
