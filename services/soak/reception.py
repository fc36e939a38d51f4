"""What the browser received between two samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.callbench.recording import CallRecording
from services.callbench.transport import WARM_UP_S, av_offsets_ms
from services.soak.samples import Reception

KINDS = ("audio", "video")
COUNTERS = (
    ("video", "freezeCount"),
    ("video", "totalFreezesDuration"),
    ("video", "packetsLost"),
    ("audio", "packetsLost"),
    ("audio", "concealedSamples"),
    ("audio", "silentConcealedSamples"),
    *((kind, name) for kind in KINDS for name in ("jitterBufferDelay", "jitterBufferEmittedCount")),
)


class ReceptionMeter:
    """Keeps the last readings, so that nothing between two samples is lost."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], float] = {}
        self._shown: tuple[float, int] | None = None

    def read(self, call: CallRecording) -> Reception:
        """Sum up what was recorded since the last time."""
        rows = {kind: [row for row in call.transport if row["kind"] == kind] for kind in KINDS}
        gained = {key: self._gained(key, rows[key[0]]) for key in COUNTERS}
        # What was made up while nobody spoke is heard as silence, which it should be.
        made_up = (
            gained["audio", "concealedSamples"] - gained["audio", "silentConcealedSamples"]
        ) / call.sound.sample_hz
        sound_held_ms, picture_held_ms = (_held_ms(gained, kind) for kind in KINDS)
        warm_up_s = 0.0 if self._shown else WARM_UP_S
        offsets = av_offsets_ms(rows["audio"], rows["video"], warm_up_s)
        return Reception(
            fps=self._fps(call),
            freezes=round(gained["video", "freezeCount"]),
            frozen_ms=1e3 * gained["video", "totalFreezesDuration"],
            concealed_ms=max(0.0, 1e3 * made_up),
            packets_lost=round(gained["video", "packetsLost"] + gained["audio", "packetsLost"]),
            av_offset_ms=float(np.median(offsets)) if offsets else None,
            av_offset_abs_p95_ms=float(np.percentile(np.abs(offsets), 95)) if offsets else None,
            av_offsets_ms=[round(offset, 1) for offset in offsets],
            sound_held_ms=sound_held_ms,
            picture_held_ms=picture_held_ms,
        )

    def _gained(self, key: tuple[str, str], rows: Sequence[Mapping[str, Any]]) -> float:
        if not rows:
            return 0.0
        before, now = self._counted.get(key, 0.0), float(rows[-1][key[1]] or 0)
        self._counted[key] = now
        return now - before if now >= before else now  # a new receiver counts from zero

    def _fps(self, call: CallRecording) -> float | None:
        frames = call.frames
        if not len(frames.at_s):
            return None
        before = self._shown or (float(frames.at_s[0]), int(frames.presented[0]))
        self._shown = float(frames.at_s[-1]), int(frames.presented[-1])
        seconds, shown = self._shown[0] - before[0], self._shown[1] - before[1]
        return shown / seconds if seconds > 0 and shown >= 0 else None


def _held_ms(gained: Mapping[tuple[str, str], float], kind: str) -> float | None:
    """For how long each sound sample, or picture, lay in the jitter buffer, in the mean."""
    played = gained[kind, "jitterBufferEmittedCount"]
    return 1e3 * gained[kind, "jitterBufferDelay"] / played if played else None
