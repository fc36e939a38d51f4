"""What became of each turn: asked of the page, shown in the page, recorded at the gateway.

Nothing here is on the path of sound and picture: calls put work into bounded queues, and two tasks
of their own do it.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from services.room_agent import witness
from services.room_agent.call_clock import call_us
from services.room_agent.gateway_line import GatewayLine
from services.room_agent.records import CallQuality, TurnRecord
from services.room_agent.stages import spans
from services.room_agent.turn_timing import TurnTiming

log = logging.getLogger(__name__)

QUEUE: Final = 32
REMEMBERED_TURNS: Final = 8
PATIENCE_US: Final = 5_000_000
"""A page answers within 0.7 s and its way's length, a busy one later; a turn's record waits for it
no longer."""
PACKET_US: Final = 20_000
"""Browsers send 20 ms of sound in a packet: its first sample is that old when it leaves."""


class PageRoom(Protocol):
    """The way to the caller's page. Raises nothing: what does not arrive is lost."""

    @property
    def jitter_us(self) -> int:
        """How long the caller's sound waits here before it is heard."""

    @property
    def sent_fps(self) -> float | None:
        """Frames a second that left for the caller so far; None: not known."""

    async def tell_page(self, topic: str, message: str) -> None: ...


class Reporter:
    """One call's reports. Its methods never wait, except `run`."""

    def __init__(self, room: PageRoom, gateway: GatewayLine) -> None:
        self._room = room
        self._gateway = gateway
        self._messages: asyncio.Queue[tuple[str, Callable[[], str]]] = asyncio.Queue(QUEUE)
        self._ended: asyncio.Queue[tuple[TurnTiming, int]] = asyncio.Queue(QUEUE)
        self._turns: deque[TurnTiming] = deque(maxlen=REMEMBERED_TURNS)
        self._open: TurnTiming | None = None
        """The turn whose record waits for the page."""
        self._told = asyncio.Event()
        self._page_speaks = False
        self._round_trip_us = 0

    @property
    def uplink_us(self) -> int:
        """How old the caller's sound is when it is heard here, as far as it is known."""
        if not self._page_speaks:
            return 0
        return PACKET_US + self._round_trip_us // 2 + self._room.jitter_us

    def reply_began(self, timing: TurnTiming) -> None:
        """The first frame of a reply has just left."""
        timing.uplink_us = 0 if timing.typed else self.uplink_us
        self._turns.append(timing)
        self._ask(timing, "began")

    def turn_ended(self, timing: TurnTiming) -> None:
        """A turn is over."""
        timing.barge_in_uplink_us = self.uplink_us
        log.info("turn", extra=timing.log_fields())
        if timing.interrupted_us and timing.first_shown_us:
            self._ask(timing, "cut")
        if not self._ended.full():
            self._ended.put_nowait((timing, call_us() + PATIENCE_US))

    def page_said(self, topic: str, payload: bytes) -> None:
        """A message of the caller's page."""
        received_us = call_us()
        match witness.read(topic, payload):
            case witness.ClockQuestion() as question:
                self._page_speaks = True
                if question.round_trip_ms is not None:
                    self._round_trip_us = round(question.round_trip_ms * 1000)
                answer = partial(witness.clock_answer, question, received_us)
                self._tell(witness.CLOCK_TOPIC, answer)
            case witness.Then() as then:
                self._note(then)
            case CallQuality() as quality:
                self._gateway.quality(quality)

    def _ask(self, timing: TurnTiming, moment: witness.Question) -> None:
        if self._page_speaks:
            self._tell(witness.WHEN_TOPIC, partial(witness.when, timing, moment))

    def _tell(self, topic: str, message: Callable[[], str]) -> None:
        if not self._messages.full():
            self._messages.put_nowait((topic, message))

    def _note(self, then: witness.Then) -> None:
        for timing in self._turns:
            if (timing.turn, timing.epoch) == (then.turn, then.epoch):
                witness.note(then, timing)
                self._told.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(), name="page messages")
            tasks.create_task(self._record(), name="turn records")
            tasks.create_task(self._gateway.run(), name="gateway line")

    async def _send(self) -> None:
        while True:
            topic, message = await self._messages.get()
            await self._room.tell_page(topic, message())

    async def _record(self) -> None:
        while True:
            timing, deadline_us = await self._ended.get()
            self._open = timing
            await self._hear_witness(timing, deadline_us)
            self._open = None
            timing.sent_fps = self._room.sent_fps
            record = timing.record(call_us())
            self._gateway.turn(record)
            await self._room.tell_page(witness.TURN_TOPIC, shown(record))

    async def _hear_witness(self, timing: TurnTiming, deadline_us: int) -> None:
        """Wait for what the page has to say about this turn."""
        while self._page_speaks and not _complete(timing):
            patience_s = (deadline_us - call_us()) / 1e6
            self._told.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._told.wait()
            except TimeoutError:
                return

    async def close(self, unfinished: TurnTiming | None) -> None:
        """Hand in what is left when the call is over; `unfinished`: a turn that it cut off."""
        if unfinished is not None:
            unfinished.outcome = "interrupted"
            self.turn_ended(unfinished)
        left = [] if self._open is None else [self._open]
        while not self._ended.empty():
            left.append(self._ended.get_nowait()[0])
        for timing in left:
            self._gateway.turn(timing.record(call_us()))
        await self._gateway.close()


def _complete(timing: TurnTiming) -> bool:
    if not timing.first_shown_us:
        return True
    began = timing.voice_rendered_us and timing.face_rendered_us
    cut = timing.silence_rendered_us and timing.still_rendered_us
    return bool(began and (cut or not timing.interrupted_us))


def shown(record: TurnRecord) -> str:
    """The turn as the page shows it: the record and its stages."""
    stages = [
        {
            "name": span.stage.name,
            "label": span.stage.label,
            "process": span.stage.process,
            "start_ms": span.start_ms,
            "end_ms": span.end_ms,
        }
        for span in spans(record.points)
    ]
    return json.dumps({**record.model_dump(mode="json"), "stages": stages})
