"""Where the time of turns goes: what agents report, counted, kept, and summed up for people."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.metrics import count_report
from gateway.spans import SpanExport
from gateway.store.tables import Turn
from gateway.store.turns import TurnStore
from services.room_agent.records import CallQuality, CallReport, TurnRecord
from services.room_agent.stages import STAGES, spans

HEARD_FOR_S = 15.0
"""A call whose agent was not heard for so long is not shown as live."""
MAX_HEARD = 1024
SUMMED_TURNS = 2000
"""Percentiles are over the newest turns of the time asked for, at most so many."""


@dataclass
class Heard:
    """What was last heard of a live call. `at_s` is monotonic."""

    at_s: float
    phase: str
    quality: CallQuality | None = None
    last: TurnRecord | None = None


@dataclass(frozen=True)
class StageSummary:
    """One stage or one whole way, over many turns; milliseconds."""

    name: str
    label: str
    process: str
    turns: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass
class Latency:
    """The gateway's memory of turns."""

    store: TurnStore
    export: SpanExport
    clock_s: Callable[[], float] = time.monotonic
    _heard: OrderedDict[str, Heard] = field(default_factory=OrderedDict)

    async def take(self, room: str, report: CallReport) -> None:
        """Keep, count and export what is new in a report."""
        fresh = await asyncio.to_thread(self.store.add, room, report.turns)
        count_report(report, fresh)
        for record in fresh:
            self.export.turn(call_label(room), record)
        heard = self._heard.setdefault(room, Heard(0.0, report.phase))
        heard.at_s, heard.phase = self.clock_s(), report.phase
        heard.quality = report.quality[-1] if report.quality else heard.quality
        heard.last = report.turns[-1] if report.turns else heard.last
        self._heard.move_to_end(room)
        while len(self._heard) > MAX_HEARD:
            self._heard.popitem(last=False)

    def heard(self, room: str) -> Heard | None:
        """What was heard of a call lately."""
        heard = self._heard.get(room)
        return heard if heard and self.clock_s() - heard.at_s < HEARD_FOR_S else None

    def forget(self, room: str) -> None:
        """The call was deleted."""
        self._heard.pop(room, None)


def call_label(room: str) -> str:
    """Names a call to people who may see its figures but not end it: room names open doors."""
    return hashlib.sha256(room.encode()).hexdigest()[:10]


def record_of(turn: Turn) -> TurnRecord:
    """The report of a stored turn."""
    return TurnRecord.model_validate(turn.record)


def summarise(records: Sequence[TurnRecord]) -> list[StageSummary]:
    """The two whole ways, then each stage, of turns that were spoken: typed ones are shorter."""
    spoken = [record for record in records if not record.typed]
    durations: dict[str, list[float]] = {stage.name: [] for stage in STAGES}
    for record in spoken:
        for span in spans(record.points):
            durations[span.stage.name].append(span.end_ms - span.start_ms)
    faces = [record.voice_to_face_ms for record in spoken]
    voices = [record.voice_to_voice_ms for record in spoken]
    return [
        _summary("voice_to_face", "Voice to face", "all", faces),
        _summary("voice_to_voice", "Voice to voice", "all", voices),
        *(_summary(s.name, s.label, s.process, durations[s.name]) for s in STAGES),
    ]


def _summary(name: str, label: str, process: str, values: Iterable[float | None]) -> StageSummary:
    found = [value for value in values if value is not None]
    if not found:
        return StageSummary(name, label, process, 0, None, None)
    p50_ms, p95_ms = np.percentile(found, (50, 95))
    return StageSummary(name, label, process, len(found), float(p50_ms), float(p95_ms))
