"""What is deleted is gone: from the tables, from the disk, from LiveKit."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from livekit import api
from sqlalchemy import func, select

from gateway.app import create_app
from gateway.defaults import default_avatars
from gateway.deps import Services
from gateway.errors import GatewayError
from gateway.store.tables import Call, Turn
from proto.messages import HistoryTurn
from services.room_agent.conversation import Conversation
from services.room_agent.job import CallJob
from tests.unit.gateway.conftest import (
    LOCAL_URL,
    FakeChecker,
    FakeMeter,
    FakeRooms,
    LocalClient,
)
from tests.unit.gateway.turn_reports import a_report, a_turn, send

pytestmark = pytest.mark.unit

PICTURE = b"\xff\xd8\xff a picture of Xanthippe"
PERSONA = "She cannot stand idle philosophers"
DAY = timedelta(days=1)


@pytest.fixture
def avatar_id(client: TestClient, services: Services) -> str:
    """An uploaded avatar; the shipped ones have their crops, so nobody else writes pictures."""
    last = services.avatars.portraits.crop(default_avatars()[-1].id)
    deadline = time.monotonic() + 10
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    form = {"name": "Xanthippe", "persona": PERSONA, "consent": "true"}
    files = {"portrait": ("x.jpg", PICTURE, "image/jpeg")}
    return str(client.post("/api/avatars", data=form, files=files).json()["id"])


@pytest.fixture
def call(client: TestClient) -> Callable[[str], str]:
    """Opens a call with one turn."""

    def open_call(avatar_id: str) -> str:
        room = client.post("/api/rooms", json={"avatar_id": avatar_id}).json()["room"]
        assert send(client, room, a_report(a_turn(1))).status_code == 204
        return str(room)

    return open_call


def rows(services: Services, table: Any) -> int:
    with services.retention.database.session() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def kept(data_dir: Path, *texts: str | bytes) -> list[str]:
    """Which of these any file of the gateway still holds, in its name or its bytes."""
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    held = b"".join(path.name.encode() + path.read_bytes() for path in files)
    wanted = [text.encode() if isinstance(text, str) else text for text in texts]
    return [text.decode(errors="replace") for text in wanted if text in held]


def test_deleting_an_avatar_leaves_nothing_of_it_or_its_calls(
    client: TestClient, services: Services, rooms: FakeRooms, avatar_id: str, call: Any
):
    ended, live, other = call(avatar_id), call(avatar_id), call("mara")
    client.delete(f"/api/rooms/{ended}")
    data_dir = services.settings.data_dir
    traces = (avatar_id, "Xanthippe", PERSONA, ended, live)
    assert len(kept(data_dir, *traces)) == len(traces)
    assert kept(data_dir, PICTURE) == [], "only the crop is kept, never the file"

    assert client.delete(f"/api/avatars/{avatar_id}").status_code == 204

    assert kept(data_dir, *traces) == []
    assert kept(data_dir, other, "Mara") == [other, "Mara"]
    assert set(rooms.rooms) == {other}
    assert (rows(services, Call), rows(services, Turn)) == (1, 1)
    for room in (ended, live):
        assert client.get(f"/api/rooms/{room}").status_code == 404
        assert client.get(f"/api/rooms/{room}/turns").status_code == 404
        assert services.latency.heard(room) is None


def test_an_agent_that_reports_too_late_brings_nothing_back(
    client: TestClient, services: Services, avatar_id: str, call: Any
):
    room = call(avatar_id)
    client.delete(f"/api/avatars/{avatar_id}")
    send(client, room, a_report(a_turn(2)))
    assert (rows(services, Call), rows(services, Turn)) == (0, 0)


async def test_a_call_that_was_being_opened_meanwhile_is_refused(
    client: TestClient, services: Services, rooms: FakeRooms, avatar_id: str
):
    avatar = await services.avatars.get(avatar_id)
    client.delete(f"/api/avatars/{avatar_id}")
    object.__setattr__(services.calls, "_job", lambda *_: a_job())
    with pytest.raises(GatewayError, match="There is no avatar"):
        await services.calls.open(avatar, None)
    assert rooms.rooms == {}


@pytest.mark.parametrize("began", ["before", "after"])
async def test_a_call_that_opens_while_its_avatar_is_deleted_keeps_no_room(
    client: TestClient,
    services: Services,
    rooms: FakeRooms,
    avatar_id: str,
    monkeypatch: pytest.MonkeyPatch,
    began: str,
):
    """It has its room before the avatar goes, or gets it when the avatar has gone."""
    avatar = await services.avatars.get(avatar_id)
    create, remove = rooms.create, services.avatars.store.remove
    loop = asyncio.get_running_loop()

    def remove_late(*arguments: Any) -> Any:
        monkeypatch.undo()
        asyncio.run_coroutine_threadsafe(services.calls.open(avatar, None), loop).result(5)
        return remove(*arguments)

    async def create_late(room: str, config: api.RoomConfiguration) -> None:
        await services.retention.forget_avatar(avatar_id)
        await create(room, config)

    if began == "before":
        monkeypatch.setattr(services.avatars.store, "remove", remove_late)
        await services.retention.forget_avatar(avatar_id)
    else:
        monkeypatch.setattr(rooms, "create", create_late)
        with pytest.raises(GatewayError, match="There is no avatar"):
            await services.calls.open(avatar, None)
    assert rooms.rooms == {}
    assert rows(services, Call) == 0


def a_job() -> CallJob:
    who = {"id": "x", "name": "X", "voice": "hibari"}
    return CallJob.model_validate({"call_id": "c", "avatar": who, "portrait_path": "/x.png"})


def test_while_livekit_cannot_end_the_calls_nothing_is_deleted(
    client: TestClient, services: Services, rooms: FakeRooms, avatar_id: str, call: Any
):
    room = call(avatar_id)
    rooms.down = True
    for path in (f"/api/avatars/{avatar_id}", f"/api/rooms/{room}/record"):
        answer = client.delete(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "livekit_unavailable")
    assert services.avatars.portraits.best(avatar_id) is not None
    assert (rows(services, Call), rows(services, Turn)) == (1, 1)
    rooms.down = False
    assert client.delete(f"/api/avatars/{avatar_id}").status_code == 204
    assert rooms.rooms == {}


@pytest.mark.parametrize("over", [True, False])
def test_a_call_can_be_deleted_alone(
    client: TestClient, services: Services, rooms: FakeRooms, avatar_id: str, call: Any, over: bool
):
    room, other = call(avatar_id), call(avatar_id)
    if over:
        client.delete(f"/api/rooms/{room}")
    assert client.delete(f"/api/rooms/{room}/record").status_code == 204
    assert kept(services.settings.data_dir, room, other, PERSONA) == [other, PERSONA]
    assert set(rooms.rooms) == {other}
    assert client.delete(f"/api/rooms/{room}/record").json()["code"] == "room_not_found"


def test_what_was_said_is_wiped_when_the_call_ends(
    client: TestClient, services: Services, call: Any
):
    room, words = call("mara"), "the hemlock is in the cellar"
    said = Conversation(turn=1, epoch=1, said=(HistoryTurn(role="user", text=words),))
    assert send(client, room, a_report(conversation=said)).status_code == 204
    assert kept(services.settings.data_dir, room, words) == [room, words]
    client.delete(f"/api/rooms/{room}")
    assert kept(services.settings.data_dir, room, words) == [room]


async def test_ended_calls_are_kept_for_their_days(
    client: TestClient, services: Services, avatar_id: str, call: Any
):
    ended, live = call(avatar_id), call(avatar_id)
    client.delete(f"/api/rooms/{ended}")
    now, days = datetime.now(UTC), timedelta(days=services.settings.call_days)
    await services.retention.forget_old(now + days - DAY)
    assert kept(services.settings.data_dir, ended) == [ended]
    await services.retention.forget_old(now + days + DAY)
    assert kept(services.settings.data_dir, ended, live) == [live]


@pytest.mark.parametrize("portrait_days", [None, 7.0])
async def test_portraits_that_nobody_calls_go_only_where_that_is_set(
    services: Services, avatar_id: str, portrait_days: float | None
):
    settings = services.settings.model_copy(update={"portrait_days": portrait_days})
    object.__setattr__(services.retention, "settings", settings)
    now = datetime.now(UTC)
    await services.retention.forget_old(now + 6 * DAY)
    assert len(kept(settings.data_dir, avatar_id, PERSONA)) == 2
    await services.retention.forget_old(now + 8 * DAY)
    left = kept(settings.data_dir, avatar_id, PERSONA)
    assert len(left) == (2 if portrait_days is None else 0)
    assert services.avatars.portraits.best("mara") is not None


async def test_pictures_that_a_crash_left_behind_are_swept(services: Services, avatar_id: str):
    folder = services.settings.data_dir / "portraits"
    now = datetime.now(UTC)
    old, fresh = now - DAY, now - timedelta(minutes=1)
    for name, written in (("tmp1.part", old), ("av-1.original", old), ("tmp2.part", fresh)):
        (folder / name).write_bytes(PICTURE)
        os.utime(folder / name, (written.timestamp(), written.timestamp()))
    for name in (f"{avatar_id}.png", "mara.original"):
        os.utime(folder / name, (old.timestamp(), old.timestamp()))
    await services.retention.forget_old(now)
    left = {path.name for path in folder.iterdir()}
    assert not left & {"tmp1.part", "av-1.original"}
    assert left >= {"tmp2.part", f"{avatar_id}.png", "mara.original"}


def test_what_earlier_versions_kept_of_uploads_goes_at_the_next_start(
    services: Services, avatar_id: str, checker: FakeChecker, rooms: FakeRooms, meter: FakeMeter
):
    portraits = services.avatars.portraits
    portraits.original(avatar_id).write_bytes(PICTURE)
    with LocalClient(create_app(services.settings, checker, rooms, meter), LOCAL_URL):
        assert not portraits.original(avatar_id).exists()
    assert portraits.crop(avatar_id).exists()
    assert portraits.original("mara").exists()
