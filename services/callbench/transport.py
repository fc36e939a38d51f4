"""What the browser's own statistics say about a call's sound and picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from services.callbench.recording import CallRecording, Frames
from services.callbench.waveform import Span

# Seconds between the NTP era (1900), in which playout is stamped, and the Unix era (1970).
NTP_TO_UNIX_S = 2_208_988_800
# The first statistics tell of empty buffers.
WARM_UP_S = 2.0
# Packets of sound a second: speech comes in 50, silence in 5.
SPEECH_PACKETS = 25
# Between a reading of the picture and one of its sound; they are taken together.
NEAR_S = 0.2


@dataclass(frozen=True)
class TransportFigures:
    """Of a whole call. `av_offset_ms`: positive where the picture is late; `abs`: either way."""

    seconds: float
    fps: float
    decoded_frames: int
    dropped_frames: int
    freezes: int
    freezes_per_minute: float
    frozen_ms: float
    concealed_percent: float
    concealed_ms: float
    packets_lost: int
    av_offset_ms: float
    av_offset_p5_ms: float
    av_offset_p95_ms: float
    av_offset_abs_p95_ms: float


def transport_figures(call: CallRecording) -> TransportFigures:
    """Sum up the statistics of a call."""
    sound = [row for row in call.transport if row["kind"] == "audio"]
    picture = [row for row in call.transport if row["kind"] == "video"]
    seconds = float(call.frames.at_s[-1] - call.frames.at_s[0]) if len(call.frames.at_s) else 0.0
    freezes = round(_last(picture, "freezeCount"))
    samples = max(1.0, _last(sound, "totalSamplesReceived"))
    # Samples made up while nobody spoke are heard as silence, which they should be.
    concealed = _last(sound, "concealedSamples") - _last(sound, "silentConcealedSamples")
    offsets = av_offsets_ms(sound, picture)
    return TransportFigures(
        seconds=seconds,
        fps=frame_rate(call.frames, Span(float("-inf"), float("inf"))),
        decoded_frames=round(_last(picture, "framesDecoded")),
        dropped_frames=round(_last(picture, "framesDropped")),
        freezes=freezes,
        freezes_per_minute=60 * freezes / max(seconds, 1e-9),
        frozen_ms=1e3 * _last(picture, "totalFreezesDuration"),
        concealed_percent=100 * concealed / samples,
        concealed_ms=1e3 * concealed / call.sound.sample_hz,
        packets_lost=round(_last(sound, "packetsLost") + _last(picture, "packetsLost")),
        av_offset_ms=float(np.median(offsets)) if len(offsets) else float("nan"),
        av_offset_p5_ms=float(np.percentile(offsets, 5)) if len(offsets) else float("nan"),
        av_offset_p95_ms=float(np.percentile(offsets, 95)) if len(offsets) else float("nan"),
        av_offset_abs_p95_ms=(
            float(np.percentile(np.abs(offsets), 95)) if len(offsets) else float("nan")
        ),
    )


def av_offsets_ms(
    sound: Sequence[Mapping[str, Any]],
    picture: Sequence[Mapping[str, Any]],
    warm_up_s: float = WARM_UP_S,
) -> list[float]:
    """Return by how much the picture was late against speech at each reading after a while.

    `estimatedPlayoutTimestamp` is the sender's clock of what is played at this moment. Whichever
    of the two plays older material is late by the difference of ages. Readings in silence, of which
    hardly a packet comes, are left out: nothing sounds that the picture could be in step with.
    """
    ages_of_sound = _ages_ms([now for before, now in pairwise(sound) if _speech(before, now)])
    ages_of_picture = _ages_ms(picture)
    if not ages_of_sound or not ages_of_picture:
        return []
    sound_at = np.array([at for at, _ in ages_of_sound])
    sound_age = np.array([age for _, age in ages_of_sound])
    return [
        age - float(np.interp(at, sound_at, sound_age))
        for at, age in ages_of_picture
        if at - ages_of_picture[0][0] >= warm_up_s and np.abs(sound_at - at).min() <= NEAR_S
    ]


def _speech(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    packets = now["packetsReceived"] - before["packetsReceived"]
    return bool(packets >= SPEECH_PACKETS * (now["at"] - before["at"]) / 1e3)


def frame_rate(frames: Frames, span: Span) -> float:
    """Return frames presented per second inside the span."""
    inside = np.flatnonzero((frames.at_s >= span.start_s) & (frames.at_s <= span.end_s))
    if len(inside) < 2:
        return 0.0
    first, last = inside[0], inside[-1]
    presented = frames.presented[last] - frames.presented[first]
    return float(presented / (frames.at_s[last] - frames.at_s[first]))


def _ages_ms(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return (reading, age of what was playing) in (s, ms)."""
    ages = []
    for row in rows:
        played_ms = row["estimatedPlayoutTimestamp"]
        if played_ms:
            age_ms = row["at"] + NTP_TO_UNIX_S * 1e3 - played_ms
            ages.append((row["at"] / 1e3, age_ms))
    return ages


def _last(rows: Sequence[Mapping[str, Any]], field: str) -> float:
    return float(rows[-1][field] or 0) if rows else 0.0
