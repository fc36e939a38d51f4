"""Two LiveKit servers that share a Redis, two agent workers: calls spread, a drained worker ends
its calls before it goes."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from livekit import api
from pydantic import SecretStr

from gateway.livekit_rooms import LiveKitRooms, livekit_rooms
from gateway.settings import GatewaySettings
from services.bootstrap import livekit_server
from services.paths import REPOSITORY, cache_paths
from services.room_agent.job import AvatarJob, CallJob
from services.settings import Settings
from services.supervisor import process_tree
from services.supervisor.credentials import LiveKitKey
from services.supervisor.livekit_config import livekit_config
from tests.conftest import free_ports
from tests.integration.room_agent.caller import Caller, call, until
from tests.integration.room_agent.engine_doubles import ActorDouble, ThinkerDouble
from tests.promises import promise

pytestmark = [pytest.mark.integration, pytest.mark.realtime]

KEY = LiveKitKey("nodes", "a-secret-of-at-least-32-characters")
AGENT = "agent-of-two-nodes"
PLACES = 2
"""Of each worker: three calls cannot all be with one."""
LONG_DRAIN_S = 600
START_S = 60.0
LEAVE_S = 30.0
DISPATCHES = 4
PATIENCE_S = 5.0


@contextmanager
def running(
    command: list[str], log: Path, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that is killed at the end, with all below it, if it has not gone by itself."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=env, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                below = process_tree.descendants(process.pid)
                process.kill()
                process.wait()
                process_tree.kill_all(below)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.HTTPError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Worker:
    """One agent worker with engines of its own, as in a pod."""

    process: "subprocess.Popen[bytes]"
    health_url: str
    thinker: ThinkerDouble
    actor: ActorDouble

    @property
    def calls(self) -> set[str]:
        """The calls whose faces its Actor draws."""
        return set(self.actor.faces)


async def agent_comes(rooms: LiveKitRooms, room: str, agent: api.RoomAgentDispatch) -> None:
    """Wait, and ask again as the gateway's watchdog does: when a worker that just became full says
    no, it can be that nobody else is asked."""
    for _ in range(DISPATCHES):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if (await rooms.presence(room)).agents:
                return
            await asyncio.sleep(0.2)
        await rooms.dispatch_again(room, agent)
    pytest.fail(f"no agent came in {DISPATCHES} dispatches")


@dataclass
class Nodes:
    """Both servers, both workers."""

    redis: "subprocess.Popen[bytes]"
    urls: list[str]
    workers: list[Worker]
    portrait: Path

    @asynccontextmanager
    async def caller(self, node: int) -> AsyncIterator[tuple[Caller, Worker]]:
        """A caller whose call one server made and who joins at the other, once the face is there;
        and the worker whose call it is."""
        name = f"call-{uuid.uuid4().hex[:8]}"
        avatar = AvatarJob(id="a", name="Ada", voice="hibari", persona="You are Ada.")
        job = CallJob(call_id=name, avatar=avatar, portrait_path=str(self.portrait))
        agent = api.RoomAgentDispatch(agent_name=AGENT, metadata=job.to_metadata())
        grants = api.VideoGrants(room_join=True, room=name)
        token = api.AccessToken(KEY.api_key, KEY.api_secret).with_identity("caller")
        settings = GatewaySettings(
            livekit_url=self.urls[node],
            livekit_api_key=KEY.api_key,
            livekit_api_secret=SecretStr(KEY.api_secret),
        )
        async with livekit_rooms(settings) as rooms:
            await rooms.create(name, api.RoomConfiguration(agents=[agent], departure_timeout=2))
            async with call(self.urls[1 - node], token.with_grants(grants).to_jwt()) as caller:
                await agent_comes(rooms, name, agent)
                await until("a frame", lambda: caller.record.frames)
                (worker,) = (worker for worker in self.workers if name in worker.calls)
                yield caller, worker


def start_livekit(redis_port: int, folder: Path, stack: ExitStack) -> str:
    """A server with the product's configuration; its URL."""
    program = livekit_server.find(cache_paths(os.environ), os.environ)
    if program is None:
        pytest.skip("LiveKit server is not built: run `make setup`")
    port, tcp, udp = free_ports(3)
    table = {
        "port": port,
        "rtc_tcp_port": tcp,
        "rtc_udp_port": udp,
        "metrics_port": 0,
        "redis": f"redis://127.0.0.1:{redis_port}",
    }
    settings = Settings(livekit=table)
    config = folder / f"livekit-{port}.yaml"
    config.write_text(livekit_config(settings.livekit, settings.gateway, KEY))
    stack.enter_context(
        running([str(program), "--config", str(config)], folder / f"livekit-{port}.log")
    )
    return f"ws://127.0.0.1:{port}"


@asynccontextmanager
async def running_worker(livekit: str, folder: Path) -> AsyncIterator[Worker]:
    """An agent worker at one of the servers, which still starts, and its engines."""
    (health,) = free_ports(1)
    thinker = ThinkerDouble(f"ipc://{folder}/thinker", reply_chunks=3)
    actor = ActorDouble(f"ipc://{folder}/actor")
    told = {
        "LIVEKIT_URL": livekit,
        "LIVEKIT_API_KEY": KEY.api_key,
        "LIVEKIT_API_SECRET": KEY.api_secret,
        "AGENT_NAME": AGENT,
        "DRAIN_TIMEOUT_S": str(LONG_DRAIN_S),
        "MAX_CALLS": str(PLACES),
        "THINKER_ENDPOINT": thinker.endpoint,
        "ACTOR_ENDPOINT": actor.endpoint,
        "HEALTH_PORT": str(health),
        "LEAVE_AFTER_S": "2",
        "END_OF_TURN_MODEL": "false",
    }
    env = os.environ | {f"XSTREAMER_AGENT_{key}": value for key, value in told.items()}
    command = [sys.executable, "-m", "services.room_agent"]
    url = f"http://127.0.0.1:{health}/"
    async with actor.running(), thinker.running():
        with running(command, folder / "worker.log", env) as process:
            yield Worker(process, url, thinker, actor)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Redis, a server and a worker on each of two "machines" of this one."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("redis-server is not installed: run `make setup-tests`")
    portrait = tmp_path / "portrait.png"
    portrait.write_bytes(b"what the double does not look at")
    (redis_port,) = free_ports(1)
    in_memory = ["--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with ExitStack() as programs:
        command = [redis, "--port", str(redis_port), *in_memory]
        store = programs.enter_context(running(command, tmp_path / "redis.log"))
        await until("Redis", lambda: listens(redis_port))
        urls = [start_livekit(redis_port, tmp_path, programs) for _ in range(2)]
        for url in urls:
            await until("LiveKit", partial(answers, url.replace("ws:", "http:")), START_S)
        async with AsyncExitStack() as stack:
            folders = [tmp_path / name for name in ("a", "b")]
            workers = []
            for url, folder in zip(urls, folders, strict=True):
                folder.mkdir()
                workers.append(await stack.enter_async_context(running_worker(url, folder)))
            for worker in workers:
                await until("a worker", partial(answers, worker.health_url), START_S)
            yield Nodes(store, urls, workers, portrait)


async def goes_on(caller: Caller) -> None:
    """A second of picture comes, from now on."""
    frames = len(caller.record.frames)
    await until("the picture goes on", lambda: len(caller.record.frames) > frames + 25)


async def test_calls_spread_and_a_drained_worker_ends_its_calls_before_it_goes(
    nodes: Nodes,
) -> None:
    async with AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(nodes.caller(node)) for node in (0, 1, 0)]
        staying, leaving = sorted(nodes.workers, key=lambda worker: len(worker.calls))
        assert [len(staying.calls), len(leaving.calls)] == [1, 2]

        leaving.process.terminate()
        await until("it says that it drains", lambda: not answers(leaving.health_url))
        for caller, _ in calls:
            await goes_on(caller)
        newcomer, its_worker = await stack.enter_async_context(nodes.caller(1))
        assert its_worker is staying

        for caller in [caller for caller, worker in calls if worker is leaving]:
            await goes_on(caller)
            promise(leaving.process.poll() is None, "a drained worker left its calls")
            await caller.leave()
        assert await asyncio.to_thread(leaving.process.wait, LEAVE_S) == 0
        assert not leaving.calls
        nodes.redis.kill()
        for caller in [newcomer, *(caller for caller, worker in calls if worker is staying)]:
            await goes_on(caller)
