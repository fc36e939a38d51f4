"""The page as a witness, and what reaches page and gateway of each turn. On virtual time."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx
import pytest

from services.room_agent.call_clock import call_us
from services.room_agent.config import GatewayAddress
from services.room_agent.gateway_line import LAST_S, GatewayLine, report_claim, signature
from services.room_agent.records import MAX_TURNS, CallQuality, CallReport
from services.room_agent.reporter import PATIENCE_US, QUEUE, Reporter
from services.room_agent.turn_timing import TurnTiming
from tests.unit.services.room_agent.fake_call import FakeRoom
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit

PING = json.dumps({"sent_ms": 12.5, "round_trip_ms": 10.0}).encode()


class Stage:
    """A reporter at work, in a room that remembers."""

    def __init__(self) -> None:
        self.room = FakeRoom(0.1)
        self.line = GatewayLine(None, "call-1", lambda: "speaking")
        self.reporter = Reporter(self.room, self.line)
        self._running = asyncio.create_task(self.reporter.run())

    async def end(self) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    def told(self, topic: str) -> list[dict[str, Any]]:
        return [message for found, message in self.room.told if found == topic]


def begun() -> TurnTiming:
    now = call_us()
    timing = TurnTiming(1, 2, now - 700_000, now - 200_000)
    timing.mark("first_shown_us", now)
    return timing


def then(timing: TurnTiming, moment: str, heard_us: float, seen_us: float) -> bytes:
    answer = {"turn": timing.turn, "epoch": timing.epoch, "moment": moment, "error_us": 2_000}
    return json.dumps({**answer, "heard_us": heard_us, "seen_us": seen_us}).encode()


@virtually
async def test_the_page_is_told_this_clock_and_asked_when_a_reply_was_seen() -> None:
    stage = Stage()
    await asyncio.sleep(1)
    stage.reporter.page_said("xs.clock", PING)
    timing = begun()
    stage.reporter.reply_began(timing)
    await asyncio.sleep(0.01)
    (clock,) = stage.told("xs.clock")
    assert clock == {"sent_ms": 12.5, "received_us": 1_001_000_000, "answered_us": 1_001_000_000}
    (question,) = stage.told("xs.when")
    assert question == {"turn": 1, "epoch": 2, "moment": "began", "left_us": 1_001_000_000}
    left = timing.first_shown_us
    stage.reporter.page_said("xs.then", then(timing, "began", left + 80_000, left + 50_000))
    stage.reporter.turn_ended(timing)
    await asyncio.sleep(0.01)
    (turn,) = stage.told("xs.turn")
    # 20 ms of a packet and half of the shortest way lie before what the agent heard.
    assert turn["points"]["voice_received"] == 25
    assert turn["points"]["voice_rendered"] == pytest.approx(805)
    assert turn["points"]["face_rendered"] == pytest.approx(775)
    assert turn["clock_error_ms"] == 2
    assert turn["stages"][0]["name"] == "uplink"
    await stage.end()


@virtually
async def test_a_reply_that_is_cut_is_asked_for_again_and_its_silence_recorded() -> None:
    stage = Stage()
    await asyncio.sleep(1)
    stage.reporter.page_said("xs.clock", PING)
    timing = begun()
    stage.reporter.reply_began(timing)
    await asyncio.sleep(2)
    timing.barge_in_us, timing.held_us = call_us() - 224_000, call_us() - 160_000
    timing.mark("interrupted_us", call_us())
    stage.reporter.turn_ended(timing)
    await asyncio.sleep(0.3)
    question = stage.told("xs.when")[-1]
    assert (question["moment"], question["left_us"]) == ("cut", timing.held_us)
    left = timing.first_shown_us
    stage.reporter.page_said("xs.then", then(timing, "began", left + 80_000, left + 50_000))
    silent = timing.held_us
    stage.reporter.page_said("xs.then", then(timing, "cut", silent + 70_000, silent + 90_000))
    await asyncio.sleep(0.01)
    (turn,) = stage.told("xs.turn")
    # The caller spoke 25 ms before it was heard here, and the answer was silent 64 ms after that.
    assert turn["barge_in"] == {
        "detected_ms": 89,
        "noticed_ms": 249,
        "silence_ms": 159,
        "still_ms": 179,
    }
    await stage.end()


@virtually
async def test_a_page_that_does_not_answer_delays_the_record_only_for_a_while() -> None:
    stage = Stage()
    await asyncio.sleep(1)
    stage.reporter.page_said("xs.clock", PING)
    timing = begun()
    stage.reporter.reply_began(timing)
    stage.reporter.turn_ended(timing)
    await asyncio.sleep(PATIENCE_US / 1e6 - 0.05)
    assert not stage.told("xs.turn")
    await asyncio.sleep(0.1)
    (turn,) = stage.told("xs.turn")
    assert "face_rendered" not in turn["points"]
    await stage.end()


@virtually
async def test_a_caller_without_a_page_is_neither_asked_nor_waited_for() -> None:
    stage = Stage()
    await asyncio.sleep(1)
    timing = begun()
    stage.room.sent_fps = 24.5
    stage.reporter.reply_began(timing)
    stage.reporter.turn_ended(timing)
    await asyncio.sleep(0.01)
    ((topic, turn),) = stage.room.told
    assert (topic, turn["sent_fps"]) == ("xs.turn", 24.5)
    await stage.end()


@virtually
async def test_what_a_page_cannot_have_seen_is_not_believed() -> None:
    stage = Stage()
    await asyncio.sleep(1)
    timing = begun()
    stage.reporter.reply_began(timing)
    for nonsense in (b"", b"{}", b"[1]", b'{"turn": -1}', b"x" * 5000):
        stage.reporter.page_said("xs.then", nonsense)
    stage.reporter.page_said("xs.quality", b'{"seconds": 5, "fps": "fast"}')
    left = timing.first_shown_us
    stage.reporter.page_said("xs.then", then(timing, "began", left - 900_000, left + 9_000_000))
    assert (timing.voice_rendered_us, timing.face_rendered_us) == (0, 0)
    await stage.end()


@virtually
async def test_no_turn_is_lost_when_the_caller_hangs_up() -> None:
    stage = Stage()
    await asyncio.sleep(1)
    stage.reporter.page_said("xs.clock", PING)
    waiting, queued, unfinished = begun(), begun(), begun()
    for timing in (waiting, queued):
        stage.reporter.reply_began(timing)
        stage.reporter.turn_ended(timing)
    await asyncio.sleep(0.1)
    await stage.end()
    kept: list[str] = []
    stage.line.turn = lambda record: kept.append(record.outcome)  # type: ignore[method-assign]
    await stage.reporter.close(unfinished)
    assert kept == ["completed", "completed", "interrupted"]


class Gateway:
    """One that is away until some time, and refuses what comes sooner; and a line to it."""

    def __init__(self, back_s: float) -> None:
        self.reports: list[CallReport] = []
        self._back_s = asyncio.get_running_loop().time() + back_s
        address = GatewayAddress("http://gateway", "key", "s" * 32)
        self.line = GatewayLine(address, "call-1", lambda: "idle")
        transport = httpx.MockTransport(self._answer)
        self.line._client = lambda _: httpx.AsyncClient(transport=transport)  # type: ignore[method-assign]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/calls/call-1/reports"
        if asyncio.get_running_loop().time() < self._back_s:
            raise httpx.ConnectError("away")
        self.reports.append(CallReport.model_validate_json(request.content))
        return httpx.Response(204)


@virtually
async def test_the_last_report_waits_for_a_gateway_that_restarts_and_is_told_once() -> None:
    gateway = Gateway(back_s=8)
    gateway.line.turn(begun().record(call_us()))
    gateway.line.quality(
        CallQuality(seconds=5, fps=25, freezes=0, frozen_ms=0, concealed_percent=0)
    )
    gateway.line.failure("thinker_failed")
    for _ in range(2):
        await gateway.line.close()
    (report,) = gateway.reports
    assert (len(report.turns), len(report.quality)) == (1, 1)
    assert report.failures == {"thinker_failed": 1}


@virtually
async def test_a_call_ends_although_its_gateway_never_comes_back() -> None:
    gateway = Gateway(back_s=1_000)
    began_s = asyncio.get_running_loop().time()
    gateway.line.turn(begun().record(call_us()))
    await gateway.line.close()
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(LAST_S)


async def test_turns_that_end_while_others_are_told_are_told_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    line = GatewayLine(GatewayAddress("http://gateway", "key", "s" * 32), "call-1", lambda: "idle")

    def answer(request: httpx.Request) -> httpx.Response:
        first = not told
        told.extend(turn.turn for turn in CallReport.model_validate_json(request.content).turns)
        if first:  # as many as a report holds, while the first one is on its way
            for number in range(MAX_TURNS):
                line.turn(begun().record(call_us()).model_copy(update={"turn": 2 + number}))
        return httpx.Response(204)

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(line, "_client", lambda _: httpx.AsyncClient(transport=transport))
    line.turn(begun().record(call_us()).model_copy(update={"turn": 1}))
    await line.close()
    assert told == list(range(1, MAX_TURNS + 2))


def test_the_signature_is_over_the_call_and_the_whole_body() -> None:
    address = GatewayAddress("http://gateway", "key", "s" * 32)
    claims = [report_claim(call, body) for call in ("call-1", "call-2") for body in (b"1", b"2")]
    assert len({signature(address, claim) for claim in claims}) == 4


QUALITY = {"seconds": 5, "fps": 24.5, "freezes": 1, "frozen_ms": 300, "concealed_percent": 0.5}


@virtually
async def test_what_the_page_saw_of_the_call_goes_to_the_gateway() -> None:
    stage = Stage()
    kept: list[CallQuality] = []
    stage.line.quality = kept.append  # type: ignore[method-assign]
    stage.reporter.page_said("xs.quality", json.dumps(QUALITY).encode())
    assert [quality.fps for quality in kept] == [24.5]
    await stage.end()


@virtually
async def test_answers_about_turns_that_nobody_remembers_change_nothing() -> None:
    stage = Stage()
    stage.reporter.page_said("xs.clock", PING)
    timing, other = begun(), begun()
    other.turn = 7
    stage.reporter.reply_began(timing)
    now = call_us()
    stage.reporter.page_said("xs.then", then(other, "began", now, now))
    assert not timing.voice_rendered_us
    stage.reporter.page_said("xs.then", then(timing, "began", now + 1, now + 1))
    assert timing.voice_rendered_us == now + 1
    await stage.end()


@virtually
async def test_a_page_that_asks_without_end_makes_nobody_wait() -> None:
    stage = Stage()
    for _ in range(10 * QUEUE):
        stage.reporter.page_said("xs.clock", PING)
    await asyncio.sleep(1)
    assert len(stage.told("xs.clock")) == QUEUE
    for _ in range(10 * QUEUE):
        stage.reporter.turn_ended(begun())
    await asyncio.sleep(PATIENCE_US * 2 * QUEUE / 1e6)
    assert len(stage.told("xs.turn")) == QUEUE
    await stage.end()
