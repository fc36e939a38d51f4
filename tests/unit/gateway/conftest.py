"""A gateway on a temporary disk and a real SQLite file, with a stand-in Actor and LiveKit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from fastapi.testclient import TestClient
from livekit import api

from gateway.app import create_app
from gateway.capacity import Load, WorkerLoad
from gateway.deps import Services
from gateway.errors import unavailable
from gateway.livekit_rooms import Dispatch, Presence
from gateway.settings import GatewaySettings
from proto.messages import PortraitChecked
from proto.portrait_code import PortraitCode

KEY, SECRET = "devkey", "a-secret-of-at-least-32-characters-xx"
LOCAL_URL = "http://127.0.0.1:8080"
CROP = b"\x89PNG crop made by the Actor"


@dataclass
class FakeChecker:
    """Answers as it is told to and remembers what it was asked."""

    code: PortraitCode = "ok"
    hint: str = ""
    silent: bool = False
    with_crop: bool = True
    images: list[bytes] = field(default_factory=list)

    async def check(self, image: bytes) -> PortraitChecked:
        if self.silent:
            raise unavailable("actor_unavailable", "The Actor does not answer", "Wait.")
        self.images.append(image)
        crop = np.frombuffer(CROP, np.uint8) if self.code == "ok" and self.with_crop else None
        return PortraitChecked(
            session_id="portrait-1", code=self.code, hint=self.hint, checks={"yaw": 0.1}, crop=crop
        )


@dataclass
class FakeRooms:
    """LiveKit in memory: rooms by name, with the dispatches asked for."""

    rooms: dict[str, Presence] = field(default_factory=dict)
    dispatches: dict[str, list[str]] = field(default_factory=dict)
    configs: dict[str, api.RoomConfiguration] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    removed: list[tuple[str, str]] = field(default_factory=list)
    worker: bool = True
    down: bool = False

    async def create(self, room: str, config: api.RoomConfiguration) -> None:
        self._answer()
        self.rooms[room] = Presence(exists=True)
        self.configs[room] = config
        self.dispatches[room] = [agent.metadata for agent in config.agents]

    async def names(self) -> set[str]:
        self._answer()
        return {name for name, presence in self.rooms.items() if presence.exists}

    async def presence(self, room: str) -> Presence:
        self._answer()
        return self.rooms.get(room, Presence(exists=False))

    async def dispatch(self, room: str) -> Dispatch:
        if not self.dispatches.get(room):
            return Dispatch.NONE
        return Dispatch.TAKEN if self.worker else Dispatch.UNTAKEN

    async def dispatch_again(self, room: str, agent: api.RoomAgentDispatch) -> None:
        self._answer()
        self.dispatches.setdefault(room, []).append(agent.metadata)

    async def tell(self, room: str, metadata: str) -> None:
        self._answer()
        self.metadata[room] = metadata

    async def remove(self, room: str, identity: str) -> None:
        self._answer()
        self.removed.append((room, identity))

    async def delete(self, room: str) -> None:
        self._answer()
        self.rooms.pop(room, None)

    async def ping(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.down:
            raise unavailable("livekit_unavailable", "LiveKit does not answer", "Look.")


@dataclass
class FakeMeter:
    """The load that a test says there is."""

    load: Load = (WorkerLoad(),)

    async def run(self) -> None:
        """Nothing changes by itself."""


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        data_dir=tmp_path / "data",
        app_dir=tmp_path / "app",
        actor_endpoint=f"ipc://{tmp_path}/actor.sock",
        thinker_endpoint=f"ipc://{tmp_path}/thinker.sock",
        agent_health_url="http://127.0.0.1:9/",
        max_upload_bytes=64 * 1024,
        ready_timeout_s=0.2,
        watchdog_interval_s=3600,
    )


@pytest.fixture
def checker() -> FakeChecker:
    return FakeChecker()


@pytest.fixture
def rooms() -> FakeRooms:
    return FakeRooms()


class LocalClient(TestClient):
    """Calls the gateway by the address of this machine; an open one answers to no other name."""

    def websocket_connect(self, url: str, *arguments: Any, **named: Any) -> Any:
        """Starlette's own would call it `testserver`."""
        local = urljoin(LOCAL_URL.replace("http", "ws"), url)
        return super().websocket_connect(local, *arguments, **named)


@pytest.fixture
def meter() -> FakeMeter:
    return FakeMeter()


@pytest.fixture
def client(
    settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms, meter: FakeMeter
) -> Iterator[TestClient]:
    app = create_app(settings, checker, rooms, meter)
    with LocalClient(app, LOCAL_URL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def services(client: TestClient) -> Services:
    found = client.app.state.services  # type: ignore[attr-defined]
    assert isinstance(found, Services)
    return found
