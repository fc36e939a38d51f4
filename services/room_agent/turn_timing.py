"""When what happened in one turn, for the log, the page, the gateway and the benchmark."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from proto.message import Stamp
from proto.wire.clock import host
from services.room_agent.records import MAX_MS, BargeIn, TurnRecord
from services.room_agent.stages import FACE_RENDERED, POINTS, VOICE_END, VOICE_RENDERED

Moment = Literal[
    "paused_us",
    "first_text_us",
    "first_chunk_us",
    "first_shown_us",
    "interrupted_us",
    "voice_rendered_us",
    "face_rendered_us",
    "silence_rendered_us",
    "still_rendered_us",
]
Outcome = Literal["completed", "interrupted", "empty", "failed"]
OF_AGENT: dict[str, Moment] = {
    "pause_noticed": "paused_us",
    "chunk_received": "first_chunk_us",
    "frame_captured": "first_shown_us",
    VOICE_RENDERED: "voice_rendered_us",
    FACE_RENDERED: "face_rendered_us",
}
"""Points of the trace that are noted here; the others arrive as stamps."""


@dataclass
class TurnTiming:
    """Moments on this host's monotonic clock in microseconds; 0: it did not happen.

    `voice_end_us` is when the end of the caller's voice reached the agent, `uplink_us` how long it
    had been on its way. A typed turn begins where it was received.
    """

    turn: int
    epoch: int
    voice_end_us: int
    ended_us: int
    typed: bool = False
    uplink_us: int = 0
    paused_us: int = 0
    first_text_us: int = 0
    first_chunk_us: int = 0
    first_shown_us: int = 0
    interrupted_us: int = 0
    held_us: int = 0
    """Since when the answer was silent because a voice was detected; 0: it was not."""
    barge_in_us: int = 0
    """When the first sound of the caller who spoke into the answer reached the agent."""
    barge_in_uplink_us: int = 0
    """How long that sound had been on its way."""
    voice_rendered_us: int = 0
    face_rendered_us: int = 0
    silence_rendered_us: int = 0
    still_rendered_us: int = 0
    clock_error_us: int = 0
    heard_tokens: int = 0
    late_us: int = 0
    """Silence inside the reply: speech was late, or the agent held it for a cough."""
    sent_fps: float | None = None
    """Frames a second that left for the caller, of the whole call up to this turn's record."""
    outcome: Outcome = "completed"
    stamps_us: dict[str, int] = field(default_factory=dict)
    """The engines' trace stamps of the first words and the first chunk."""

    def mark(self, moment: Moment, at_us: int) -> None:
        """Note when this happened; the first time counts."""
        if not getattr(self, moment):
            setattr(self, moment, at_us)

    @property
    def detected_us(self) -> int:
        """When a voice over the answer was detected. Its last sound left at that moment."""
        return self.held_us or self.interrupted_us

    def trace(self, stamps: Iterable[Stamp]) -> None:
        """Take over the stamps of a message; another host's clock cannot be compared."""
        for stamp in stamps:
            if stamp.host == host() and stamp.name in POINTS:
                self.stamps_us.setdefault(stamp.name, stamp.at_us)

    def log_fields(self) -> dict[str, int | float]:
        """Milliseconds from the end of the voice to each moment; -1: it did not happen."""

        def after_ms(moment_us: int) -> float:
            return round((moment_us - self.voice_end_us) / 1000, 1) if moment_us else -1

        return {
            "turn": self.turn,
            "epoch": self.epoch,
            "heard_tokens": self.heard_tokens,
            "late_ms": self.late_us / 1000,
            "ended_ms": after_ms(self.ended_us),
            **{f"{name}_ms": after_ms(at_us) for name, at_us in self.stamps_us.items()},
            "first_text_ms": after_ms(self.first_text_us),
            "first_chunk_ms": after_ms(self.first_chunk_us),
            "first_shown_ms": after_ms(self.first_shown_us),
            "interrupted_ms": after_ms(self.interrupted_us),
            "voice_end_us": self.voice_end_us,
        }

    def record(self, now_us: int) -> TurnRecord:
        """The turn for the gateway, at a moment of this clock."""
        ago = timedelta(microseconds=now_us - self._origin_us)
        return TurnRecord(
            turn=self.turn,
            epoch=self.epoch,
            typed=self.typed,
            outcome=self.outcome,
            voice_end_at=datetime.now(UTC) - ago,
            points=self._points_ms(),
            heard_tokens=self.heard_tokens,
            late_ms=min(self.late_us / 1000, MAX_MS),
            clock_error_ms=self.clock_error_us / 1000 if self.clock_error_us else None,
            barge_in=self._barge_in(),
            sent_fps=self.sent_fps,
        )

    @property
    def _origin_us(self) -> int:
        return self.voice_end_us - self.uplink_us

    def _points_ms(self) -> dict[str, float]:
        at_us = {
            VOICE_END: self._origin_us,
            "voice_received": self.voice_end_us,
            "turn_decided": self.ended_us,
            **{name: getattr(self, moment) for name, moment in OF_AGENT.items()},
            **self.stamps_us,
        }
        after_ms = {
            name: round((at_us[name] - self._origin_us) / 1000, 2)
            for name in POINTS
            if at_us.get(name)
        }
        # A stamp may say anything; what is no time of this turn is left out.
        return {name: ms for name, ms in after_ms.items() if abs(ms) <= MAX_MS}

    def _barge_in(self) -> BargeIn | None:
        if not (self.barge_in_us and self.interrupted_us and self.first_shown_us):
            return None

        spoke_us = self.barge_in_us - self.barge_in_uplink_us

        def after_ms(moment_us: int) -> float | None:
            return (moment_us - spoke_us) / 1000 if moment_us else None

        return BargeIn(
            detected_ms=after_ms(self.detected_us),
            noticed_ms=(self.interrupted_us - spoke_us) / 1000,
            silence_ms=after_ms(self.silence_rendered_us),
            still_ms=after_ms(self.still_rendered_us),
        )
