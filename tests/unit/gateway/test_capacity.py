"""How many calls fit, from what is measured."""

import asyncio
from pathlib import Path

import httpx
import pytest

from gateway.capacity import EngineMeter, Load, WorkerLoad, calls_that_fit
from gateway.settings import GatewaySettings
from gateway.workers import GONE_S, Workers
from proto.messages import EngineStatus
from proto.wire.sockets import ServerSocket
from services.room_agent.announcement import Announcement

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("worker", "fit"),
    [
        (WorkerLoad(), 100_000),
        (WorkerLoad(4), 4),
        (WorkerLoad(4, actor_factor=0.3), 3),
        (WorkerLoad(4, actor_factor=0.31), 2),
        (WorkerLoad(4, actor_factor=0.1), 4),
        (WorkerLoad(4, actor_factor=0.1, thinker_factor=0.6), 3),
        (WorkerLoad(4, actor_factor=1.5), 1),
        (WorkerLoad(4, 2, actor_factor=0.1, degradation_step=1), 4),
        (WorkerLoad(4, 2, actor_factor=0.1, degradation_step=2), 2),
        (WorkerLoad(4, 0, actor_factor=0.1, degradation_step=4), 1),
    ],
)
def test_calls_fit_where_agent_and_both_engines_bear_them(worker: WorkerLoad, fit: int):
    assert calls_that_fit((worker,)) == fit


def test_each_worker_bears_what_its_own_engines_bear():
    fast, slow = WorkerLoad(4, actor_factor=0.2), WorkerLoad(4, actor_factor=0.6)
    overloaded = WorkerLoad(4, 3, actor_factor=0.5, degradation_step=3)
    assert calls_that_fit((fast, slow, overloaded)) == 4 + 1 + 3


def test_calls_of_a_worker_that_drains_fill_no_place_of_the_others():
    assert calls_that_fit((WorkerLoad(2, actor_factor=0.1), WorkerLoad(0, 2))) - 2 == 2


def test_nobody_comes_in_where_every_worker_drains():
    assert calls_that_fit((WorkerLoad(0, 1), WorkerLoad(0, 0))) == 0


def worker(name: str, registration: str, max_calls: int, calls: int = 0) -> Announcement:
    return Announcement(name=name, registration=registration, max_calls=max_calls, calls=calls)


def places(workers: Workers) -> list[int]:
    return sorted(one.max_calls for one in workers.present)


def test_workers_are_counted_while_they_are_heard_of():
    now_s = 100.0
    workers = Workers(lambda: now_s)
    assert places(workers) == []
    workers.hear(worker("a:1", "AW_1", 2))
    workers.hear(worker("b:1", "AW_2", 3))
    assert places(workers) == [2, 3]
    now_s += GONE_S - 1
    workers.hear(worker("b:1", "AW_2", 0))
    assert places(workers) == [0, 2], "one that drains takes no more"
    now_s += 2
    assert places(workers) == [0]


def test_only_a_worker_that_registered_anew_wakes_the_watchdog():
    workers = Workers()
    woken = []
    for registration in ("AW_1", "AW_1", "AW_2"):
        workers.hear(worker("a:1", registration, 2))
        woken.append(workers.came.is_set())
        workers.came.clear()
    assert woken == [True, False, True]
    assert places(workers) == [2], "the same worker, started again"


async def measured(settings: GatewaySettings, wanted: Load, workers: Workers | None = None) -> Load:
    """What a meter says, once it says what is wanted, or in the end."""
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"max_calls": 3}))
    ) as http:
        meter = EngineMeter(settings, http, workers or Workers())
        running = asyncio.create_task(meter.run())
        for _ in range(200):
            await asyncio.sleep(0.02)
            if meter.load == wanted:
                break
        running.cancel()
    return meter.load


async def busy_actor(endpoint: str) -> None:
    async with ServerSocket(endpoint) as socket:
        while True:
            peer, ping = await socket.recv()
            status = EngineStatus(
                session_id=ping.session_id,
                engine="actor",
                real_time_factor=0.4,
                queue_depth=0,
                sessions=2,
                degradation_step=1,
            )
            await socket.send(peer, status)


@pytest.mark.parametrize("believed", [True, False])
async def test_the_meter_asks_engines_and_agent_and_a_silent_engine_is_not_measured(
    settings: GatewaySettings, tmp_path: Path, believed: bool
):
    wanted = (WorkerLoad(3, 2, 0.4, 0.0, 1) if believed else WorkerLoad(3, 2),)
    often = settings.model_copy(update={"meter_interval_s": 0.05, "measured_capacity": believed})
    actor = asyncio.create_task(busy_actor(settings.actor_endpoint))
    try:
        assert await measured(often, wanted) == wanted
    finally:
        actor.cancel()


async def test_engines_that_are_beside_their_agents_are_not_asked(settings: GatewaySettings):
    elsewhere = settings.model_copy(update={"thinker_endpoint": "", "actor_endpoint": ""})
    assert await measured(elsewhere, (WorkerLoad(3),)) == (WorkerLoad(3),)


@pytest.mark.parametrize("believed", [True, False])
async def test_workers_tell_of_themselves_and_of_their_engines(
    settings: GatewaySettings, believed: bool
):
    workers = Workers()
    workers.hear(worker("a:1", "AW_1", 2))
    fares = {"actor_factor": 0.3, "thinker_factor": 0.5, "degradation_step": 1}
    workers.hear(worker("b:1", "AW_2", 3, calls=2).model_copy(update=fares))
    wanted = (WorkerLoad(2), WorkerLoad(3, 2, 0.3, 0.5, 1) if believed else WorkerLoad(3, 2))
    told = settings.model_copy(update={"measured_capacity": believed})
    assert await measured(told, wanted, workers) == wanted


async def test_an_agent_that_is_away_for_a_moment_leaves_the_places_as_they_were(
    settings: GatewaySettings,
):
    elsewhere = settings.model_copy(
        update={"thinker_endpoint": "", "actor_endpoint": "", "meter_interval_s": 0.01}
    )
    answers = [httpx.Response(200, json={"max_calls": 3})]

    def answer(_: httpx.Request) -> httpx.Response:
        return answers.pop() if answers else httpx.Response(503)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        meter = EngineMeter(elsewhere, http, Workers())
        running = asyncio.create_task(meter.run())
        await asyncio.sleep(0.2)
        running.cancel()
    assert not answers
    assert meter.load == (WorkerLoad(3),)
