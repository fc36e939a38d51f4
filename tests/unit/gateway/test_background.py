"""Work that goes on whatever befalls one round of it."""

import asyncio
import threading

import pytest

from gateway.app import create_app
from gateway.background import STEADY_S, Background
from gateway.settings import GatewaySettings
from gateway.watchdog import Watchdog
from tests.unit.gateway.conftest import LOCAL_URL, FakeChecker, FakeMeter, FakeRooms, LocalClient

pytestmark = pytest.mark.unit


async def test_work_that_fails_begins_again_and_work_that_is_done_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("gateway.background.AGAIN_S", 0.0)
    rounds: list[int] = []

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 3:
            raise ValueError("nobody foresaw this")

    await asyncio.wait_for(Background().keep_up("work", work), 5)
    assert rounds == [0, 1, 2]
    assert caplog.text.count("beginning again") == 2


async def test_it_can_be_cancelled():
    work = asyncio.Event().wait
    task = asyncio.create_task(Background().keep_up("sleep", work))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_failed_is_said_to_fail_until_it_has_gone_on_for_a_while():
    now_s = 100.0
    background = Background(lambda: now_s)
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        raise ValueError("nobody foresaw this")

    task = asyncio.create_task(background.keep_up("work", work))
    assert background.failing == []
    await began.wait()
    await asyncio.sleep(0)
    assert background.failing == ["work"]
    now_s += STEADY_S
    assert background.failing == []
    task.cancel()


async def test_work_that_ended_well_at_last_does_not_fail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.background.AGAIN_S", 0.0)
    background = Background()
    rounds: list[int] = []

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 2:
            raise ValueError("nobody foresaw this")

    await asyncio.wait_for(background.keep_up("work", work), 5)
    assert background.failing == []


def test_a_gateway_that_looks_after_no_call_is_not_healthy(
    settings: GatewaySettings,
    checker: FakeChecker,
    rooms: FakeRooms,
    meter: FakeMeter,
    monkeypatch: pytest.MonkeyPatch,
):
    looked = threading.Event()

    async def fail(_: Watchdog) -> None:
        looked.set()
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(Watchdog, "look", fail)
    with LocalClient(create_app(settings, checker, rooms, meter), LOCAL_URL) as sick:
        assert looked.wait(5)
        answer = sick.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["code"] == "background_work_fails"
    assert answer.json()["failing"] == ["watchdog"]
