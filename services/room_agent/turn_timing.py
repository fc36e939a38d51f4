"""When what happened in one turn, for the log, the page and the benchmark."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from proto.message import Stamp
from proto.wire.clock import host

Moment = Literal["first_text_us", "first_chunk_us", "first_shown_us", "interrupted_us"]


@dataclass
class TurnTiming:
    """Moments on this host's monotonic clock in microseconds; 0: it did not happen.

    `voice_end_us` is when the end of the caller's voice reached the agent. A typed turn begins
    where it was received.
    """

    turn: int
    epoch: int
    voice_end_us: int
    ended_us: int
    first_text_us: int = 0
    first_chunk_us: int = 0
    first_shown_us: int = 0
    interrupted_us: int = 0
    heard_tokens: int = 0
    late_us: int = 0
    """Silence inside the reply: speech was late, or the agent held it for a cough."""
    thinker_us: dict[str, int] = field(default_factory=dict)
    """The Thinker's trace stamps of the first words."""

    def mark(self, moment: Moment, at_us: int) -> None:
        """Note when this happened; the first time counts."""
        if not getattr(self, moment):
            setattr(self, moment, at_us)

    def trace(self, stamps: Iterable[Stamp]) -> None:
        """Take over the stamps of a message; another host's clock cannot be compared."""
        for stamp in stamps:
            if stamp.host == host():
                self.thinker_us.setdefault(stamp.name, stamp.at_us)

    def report(self) -> dict[str, int | float]:
        """Milliseconds from the end of the voice to each moment; -1: it did not happen."""

        def after_ms(moment_us: int) -> float:
            return round((moment_us - self.voice_end_us) / 1000, 1) if moment_us else -1

        return {
            "turn": self.turn,
            "epoch": self.epoch,
            "heard_tokens": self.heard_tokens,
            "late_ms": self.late_us / 1000,
            "ended_ms": after_ms(self.ended_us),
            **{f"{name}_ms": after_ms(at_us) for name, at_us in self.thinker_us.items()},
            "first_text_ms": after_ms(self.first_text_us),
            "first_chunk_ms": after_ms(self.first_chunk_us),
            "first_shown_ms": after_ms(self.first_shown_us),
            "interrupted_ms": after_ms(self.interrupted_us),
            "voice_end_us": self.voice_end_us,
        }
