"""What REST gives of turns and their stages."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from gateway.latency import Heard, StageSummary, call_label, record_of
from gateway.store.tables import Call, Turn
from services.room_agent.records import BargeIn, CallQuality
from services.room_agent.stages import spans


class StageFigures(BaseModel):
    """A stage over many turns."""

    name: str
    label: str
    process: str
    turns: int
    p50_ms: float | None
    p95_ms: float | None

    @classmethod
    def of(cls, summary: StageSummary) -> Self:
        return cls(
            name=summary.name,
            label=summary.label,
            process=summary.process,
            turns=summary.turns,
            p50_ms=_rounded(summary.p50_ms),
            p95_ms=_rounded(summary.p95_ms),
        )


class LiveCall(BaseModel):
    """A call that has not ended. `call` names it without opening it."""

    call: str
    avatar: str
    state: str
    phase: str | None = Field(description="What the avatar does; null: its agent is not heard")
    started_at: datetime | None
    quality: CallQuality | None
    voice_to_face_ms: float | None = Field(description="Of the last turn")

    @classmethod
    def of(cls, call: Call, heard: Heard | None) -> Self:
        last = heard.last if heard else None
        return cls(
            call=call_label(call.room),
            avatar=call.avatar_name,
            state=call.state,
            phase=heard.phase if heard else None,
            started_at=call.started_at,
            quality=heard.quality if heard else None,
            voice_to_face_ms=_rounded(last.voice_to_face_ms) if last else None,
        )


class LatencyView(BaseModel):
    """Where the time goes."""

    hours: float
    turns: int
    counted_since: datetime | None = Field(
        description="The oldest turn that is counted; null: all turns of these hours are"
    )
    live: list[LiveCall]
    stages: list[StageFigures]


class TurnView(BaseModel):
    """One turn in a list."""

    id: int
    call: str
    avatar: str
    turn: int
    typed: bool
    outcome: str
    voice_end_at: datetime
    voice_to_voice_ms: float | None
    voice_to_face_ms: float | None

    @classmethod
    def of(cls, turn: Turn, call: Call) -> Self:
        record = record_of(turn)
        return cls(
            id=turn.id,
            call=call_label(call.room),
            avatar=call.avatar_name,
            turn=turn.turn,
            typed=record.typed,
            outcome=record.outcome,
            voice_end_at=turn.voice_end_at,
            voice_to_voice_ms=_rounded(turn.voice_to_voice_ms),
            voice_to_face_ms=_rounded(turn.voice_to_face_ms),
        )


class StageBar(BaseModel):
    """A stage of one turn, milliseconds after the caller's last sound."""

    name: str
    label: str
    process: str
    start_ms: float
    end_ms: float


class TurnDetail(TurnView):
    """One turn with its waterfall."""

    points: dict[str, float]
    stages: list[StageBar]
    late_ms: float
    clock_error_ms: float | None
    barge_in: BargeIn | None
    sent_fps: float | None = Field(description="Frames a second that left the agent so far")

    @classmethod
    def of(cls, turn: Turn, call: Call) -> Self:
        record = record_of(turn)
        bars = [
            StageBar(
                name=span.stage.name,
                label=span.stage.label,
                process=span.stage.process,
                start_ms=span.start_ms,
                end_ms=span.end_ms,
            )
            for span in spans(record.points)
        ]
        return cls(
            **TurnView.of(turn, call).model_dump(),
            points=record.points,
            stages=bars,
            late_ms=record.late_ms,
            clock_error_ms=record.clock_error_ms,
            barge_in=record.barge_in,
            sent_fps=record.sent_fps,
        )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
