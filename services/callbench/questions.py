"""What the caller can say: short questions, recorded once and kept as package data."""

import io
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import soundfile
from scipy.signal import resample_poly

from services.callbench.waveform import FLOAT, Span, Waveform, voiced_spans

MICROPHONE_HZ = 48_000
CLIP_HZ = 24_000
_DATA = resources.files("services.callbench") / "data"


@dataclass(frozen=True)
class Question:
    """A sentence, and words of which an understanding answer to it must hold all."""

    id: str
    text: str
    expects: tuple[str, ...]


# Where in a question a hesitation may lie: not at its ends, and between two words.
HESITATION_WITHIN = (0.3, 0.7)
QUIET_S = 0.05


@dataclass(frozen=True)
class Clip:
    """A recorded question as the microphone plays it. Voice bounds are seconds into the clip."""

    question: Question
    wav: bytes
    voice_start_s: float
    voice_end_s: float
    duration_s: float


@cache
def questions() -> dict[str, Question]:
    """Return every question by its id."""
    rows = json.loads((_DATA / "questions.json").read_text())
    return {row["id"]: Question(row["id"], row["text"], tuple(row["expects"])) for row in rows}


@cache
def clip(question_id: str, pause_s: float = 0.0) -> Clip:
    """Return a question's recording at the microphone's rate, as a WAV file.

    `pause_s`: the speaker hesitates for so long in the middle of the sentence.
    """
    question = questions()[question_id]
    recorded, sample_hz = soundfile.read(
        io.BytesIO((_DATA / f"{question_id}.flac").read_bytes()), dtype="float32"
    )
    if sample_hz != CLIP_HZ:
        raise ValueError(f"{question_id}.flac has {sample_hz} Hz, clips are kept at {CLIP_HZ} Hz")
    samples = resample_poly(recorded, MICROPHONE_HZ, CLIP_HZ).astype(np.float32)
    waveform = Waveform(samples, MICROPHONE_HZ)
    spans = voiced_spans(waveform)
    if not spans:
        raise ValueError(f"{question_id}.flac holds no voice")
    if pause_s:
        samples = _hesitating(samples, Span(spans[0].start_s, spans[-1].end_s), pause_s)
        waveform = Waveform(samples, MICROPHONE_HZ)
        spans = voiced_spans(waveform)
    packed = io.BytesIO()
    soundfile.write(packed, samples, MICROPHONE_HZ, format="WAV", subtype="PCM_16")
    return Clip(
        question=question,
        wav=packed.getvalue(),
        voice_start_s=spans[0].start_s,
        voice_end_s=spans[-1].end_s,
        duration_s=waveform.duration_s,
    )


def _hesitating(samples: FLOAT, voice: Span, pause_s: float) -> FLOAT:
    """The same with silence at the quietest place of the middle, (N + pause,)."""
    window = round(QUIET_S * MICROPHONE_HZ)
    length_s = voice.end_s - voice.start_s
    first, last = (
        round((voice.start_s + share * length_s) * MICROPHONE_HZ) for share in HESITATION_WITHIN
    )
    energy = np.convolve(samples[first:last] ** 2, np.ones(window), "valid")
    cut = first + int(np.argmin(energy)) + window // 2
    silence = np.zeros(round(pause_s * MICROPHONE_HZ), np.float32)
    return np.concatenate([samples[:cut], silence, samples[cut:]])
