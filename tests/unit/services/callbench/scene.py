"""Synthetic calls with a known truth."""

import numpy as np

from services.callbench.recording import CROP_PIXELS, THUMB_PIXELS, CallRecording, Frames, Spoken
from services.callbench.waveform import Span, Waveform

SOUND_HZ = 48_000
FRAME_HZ = 25


def syllables(at_s: np.ndarray, speech: list[Span]) -> np.ndarray:
    """How open a mouth is, 0-1: uneven bumps of 0.24 s while it speaks."""
    speaking = np.zeros(at_s.shape, bool)
    for span in speech:
        speaking |= (at_s >= span.start_s) & (at_s < span.end_s)
    uneven = 0.55 + 0.45 * np.sin(7.3 * np.abs(np.floor(at_s / 0.24)) ** 1.5)
    return np.asarray(speaking * uneven * np.abs(np.sin(np.pi * at_s / 0.24)))


def call(
    speech: list[Span],
    *,
    seconds: float = 12.0,
    picture_late_s: float = 0.0,
    lips_speech: list[Span] | None = None,
    spoken: tuple[Spoken, ...] = (),
) -> CallRecording:
    """A call in which the agent speaks at known times, its head swaying all the while."""
    noise = np.random.default_rng(5)
    at_s = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
    voice = 0.2 * noise.standard_normal(len(at_s)) * syllables(at_s, speech)
    frame_s = np.arange(round(seconds * FRAME_HZ)) / FRAME_HZ
    openness = syllables(frame_s - picture_late_s, speech if lips_speech is None else lips_speech)
    frames = Frames(
        at_s=frame_s,
        presented=np.arange(len(frame_s)),
        width=256,
        height=256,
        crops=np.stack([_face(now, gap) for now, gap in zip(frame_s, openness, strict=True)]),
        thumbs=np.zeros((len(frame_s), THUMB_PIXELS, THUMB_PIXELS), np.uint8),
    )
    return CallRecording(Waveform(voice.astype(np.float32), SOUND_HZ), frames, (), (), spoken)


def _face(now_s: float, gap: float) -> np.ndarray:
    """Smooth shading that sways, and a dark mouth."""
    rows, columns = np.mgrid[0:CROP_PIXELS, 0:CROP_PIXELS].astype(float)
    rows -= 2 * np.sin(now_s * 0.9)
    columns -= 3 * np.sin(now_s * 1.3)
    skin = 140 + 30 * np.sin(rows / 9) * np.cos(columns / 11) + 20 * np.sin(columns / 5)
    away = ((rows - 48) / (1.5 + 9 * gap)) ** 2 + ((columns - 64) / 22) ** 2
    mouth = np.clip(1.5 - away, 0, 1)
    return np.asarray(skin * (1 - mouth) + 30 * mouth, np.uint8)
