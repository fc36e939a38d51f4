"""The gateway as a process in front of a real LiveKit server: rooms, tokens, webhooks, TLS."""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from livekit import api, rtc
from livekit.protocol.rtc import SignalRequest, SignalResponse, UpdateSubscription
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from services.bootstrap.livekit_server import find
from services.paths import cache_paths
from services.room_agent.job import CallJob, RoomState
from tests.conftest import free_ports

pytestmark = pytest.mark.integration

KEY, SECRET = "devkey", "a-secret-of-at-least-32-characters-xx"
AGENT_TIMEOUT_S = 2


@dataclass(frozen=True)
class Gateway:
    """A running gateway and the LiveKit behind it."""

    url: str
    livekit_url: str
    http: httpx.Client
    data_dir: Path

    def call(self, avatar_id: str = "mara") -> dict[str, Any]:
        answer = self.http.post("/api/rooms", json={"avatar_id": avatar_id})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def room(self, name: str) -> dict[str, Any]:
        view: dict[str, Any] = self.http.get(f"/api/rooms/{name}").json()
        return view

    async def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The room's record as soon as something holds of it."""
        deadline = time.monotonic() + 15
        while not holds(view := self.room(name)):
            assert time.monotonic() < deadline, f"never came true: {view}"
            await asyncio.sleep(0.1)
        return view


@contextmanager
def running(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


def await_answer(http: httpx.Client, path: str, log: Path) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            http.get(path)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"no answer from {http.base_url}:\n{log.read_text()}")


@contextmanager
def gateway_process(
    folder: Path, port: int, livekit_url: str, **settings: str
) -> Iterator[httpx.Client]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("XSTREAMER_")}
    values = {
        "port": str(port),
        "data_dir": str(folder / "data"),
        "livekit_url": livekit_url,
        "livekit_api_key": KEY,
        "livekit_api_secret": SECRET,
        "actor_endpoint": f"ipc://{folder}/actor.sock",
        "thinker_endpoint": f"ipc://{folder}/thinker.sock",
        "agent_health_url": "http://127.0.0.1:9/",
        "agent_timeout_s": str(AGENT_TIMEOUT_S),
        "watchdog_interval_s": "0.2",
        "departure_timeout_s": "1",
        **settings,
    }
    env |= {f"XSTREAMER_GATEWAY_{name.upper()}": value for name, value in values.items()}
    scheme = "https" if "tls_cert" in settings else "http"
    log = folder / "gateway.log"
    with (
        running([sys.executable, "-m", "gateway"], log, env),
        httpx.Client(
            base_url=f"{scheme}://127.0.0.1:{port}", verify=False, trust_env=False
        ) as http,
    ):
        await_answer(http, "/healthz", log)
        yield http


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_and_livekit(tmp_path_factory.mktemp("gateway")) as both:
        yield both


@contextmanager
def gateway_and_livekit(folder: Path, *, with_webhook: bool = True) -> Iterator[Gateway]:
    port, livekit_port, tcp_port, udp_port = free_ports(4)
    binary = find(cache_paths(os.environ), os.environ)
    if binary is None:
        pytest.fail("the LiveKit server is missing: `make setup` builds it")
    urls = [f"http://127.0.0.1:{port}/api/livekit/webhook"] if with_webhook else []
    config = folder / "livekit.yaml"
    config.write_text(
        f"""
port: {livekit_port}
bind_addresses: ["127.0.0.1"]
keys: {{{KEY}: {SECRET}}}
rtc:
  tcp_port: {tcp_port}
  udp_port: {udp_port}
  use_external_ip: false
  node_ip: 127.0.0.1
  enable_loopback_candidate: true
  interfaces: {{includes: [lo]}}
  stun_servers: ["127.0.0.1:3478"]
webhook: {{api_key: {KEY}, urls: {json.dumps(urls)}}}
"""
    )
    livekit_url = f"ws://127.0.0.1:{livekit_port}"
    log = folder / "livekit.log"
    with running([str(binary), "--config", str(config)], log):
        with httpx.Client(base_url=f"http://127.0.0.1:{livekit_port}") as livekit:
            await_answer(livekit, "/", log)
        with gateway_process(folder, port, livekit_url) as http:
            yield Gateway(f"http://127.0.0.1:{port}", livekit_url, http, folder / "data")


@asynccontextmanager
async def livekit_api(gateway: Gateway) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(gateway.livekit_url, KEY, SECRET) as client:
        yield client


@asynccontextmanager
async def caller(url: str, token: str) -> AsyncIterator[rtc.Room]:
    room = rtc.Room()
    await room.connect(url, token)
    try:
        yield room
    finally:
        await room.disconnect()


def agent_token(room: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room, agent=True)
    token = api.AccessToken(KEY, SECRET).with_identity("agent-1").with_kind("agent")
    return token.with_grants(grants).to_jwt()


async def test_the_room_is_there_with_its_dispatch_before_any_caller(gateway: Gateway):
    created = gateway.call("daniel")
    async with livekit_api(gateway) as client:
        dispatches = await client.agent_dispatch.list_dispatch(created["room"])
    assert [dispatch.agent_name for dispatch in dispatches] == ["xstreamer"]
    job = CallJob.from_metadata(dispatches[0].metadata)
    assert (job.call_id, job.avatar.name) == (created["room"], "Daniel")
    portrait = await asyncio.to_thread(Path(str(job.portrait_path)).read_bytes)
    assert portrait.startswith(b"\xff\xd8\xff")


async def test_a_caller_joins_through_our_port_and_the_record_follows(gateway: Gateway):
    created = gateway.call()
    async with caller(created["livekit_url"], created["token"]) as room:
        assert room.name == created["room"]
        assert room.local_participant.identity.startswith("caller-")
        view = await gateway.until(created["room"], lambda view: view["callers"] == 1)
        assert view["state"] == "active"
    view = await gateway.until(created["room"], lambda view: view["state"] == "ended")
    assert view["end_reason"] == "left"
    assert view["started_at"] < view["ended_at"]


async def test_an_agent_is_noted_and_ends_the_asking(gateway: Gateway):
    created = gateway.call()
    async with caller(gateway.livekit_url, agent_token(created["room"])):
        view = await gateway.until(
            created["room"], lambda view: view["agent_joined_at"] is not None
        )
        assert (view["state"], view["callers"]) == ("created", 0)
        await asyncio.sleep(AGENT_TIMEOUT_S * 1.5)
        assert gateway.room(created["room"])["dispatches"] == 1


async def test_the_watchdog_asks_again_for_an_agent_that_does_not_come(gateway: Gateway):
    created = gateway.call()
    async with livekit_api(gateway) as client:
        first = await client.agent_dispatch.list_dispatch(created["room"])
        await gateway.until(created["room"], lambda view: view["dispatches"] == 2)
        second = await client.agent_dispatch.list_dispatch(created["room"])
    assert len(second) == 1
    assert second[0].id != first[0].id
    assert second[0].metadata == first[0].metadata


async def test_deleting_the_room_sends_the_caller_out_and_nobody_comes_back(gateway: Gateway):
    created = gateway.call()
    async with caller(created["livekit_url"], created["token"]) as room:
        left = asyncio.Event()
        room.on("disconnected", lambda _reason: left.set())
        view = gateway.http.delete(f"/api/rooms/{created['room']}").json()
        assert (view["state"], view["end_reason"]) == ("ended", "deleted")
        await asyncio.wait_for(left.wait(), 5)
    query = f"access_token={created['token']}&protocol=16&auto_subscribe=1"
    async with (
        asyncio.timeout(10),
        connect(f"{created['livekit_url']}/rtc?{query}") as signalling,
        livekit_api(gateway) as client,
    ):
        await signalling.wait_closed()
        asked = api.ListRoomsRequest(names=[created["room"]])
        while (await client.room.list_rooms(asked)).rooms:  # noqa: ASYNC110  # LiveKit says no end
            await asyncio.sleep(0.1)
    assert gateway.room(created["room"])["state"] == "ended"


async def test_a_late_caller_makes_the_room_again_and_gets_an_agent(gateway: Gateway):
    created = gateway.call()
    async with livekit_api(gateway) as client:
        await client.room.delete_room(api.DeleteRoomRequest(room=created["room"]))
        async with caller(created["livekit_url"], created["token"]):
            await gateway.until(created["room"], lambda view: view["dispatches"] == 2)
            assert len(await client.agent_dispatch.list_dispatch(created["room"])) == 1
            rooms = await client.room.list_rooms(api.ListRoomsRequest(names=[created["room"]]))
    assert [room.departure_timeout for room in rooms.rooms] == [1]


async def test_a_mood_is_told_to_who_is_in_the_room_and_to_who_comes_later(gateway: Gateway):
    created = gateway.call()
    path, mood = f"/api/rooms/{created['room']}/mood", {"expression": "serious", "yaw_deg": 4.0}
    async with caller(gateway.livekit_url, agent_token(created["room"])) as room:
        told: asyncio.Queue[str] = asyncio.Queue()
        room.on("room_metadata_changed", lambda _, metadata: told.put_nowait(metadata))
        assert (await asyncio.to_thread(gateway.http.put, path, json=mood)).status_code == 200
        state = RoomState.from_metadata(await asyncio.wait_for(told.get(), 5))
        assert state.mood.model_dump(exclude_none=True) == {**mood, "strength": 1.0}
        async with caller(created["livekit_url"], created["token"]) as late:
            assert RoomState.from_metadata(late.metadata) == state


ADMINISTRATION = {
    "RoomService": {
        "ListRooms": {},
        "CreateRoom": {"name": "ROOM"},
        "DeleteRoom": {"room": "ROOM"},
        "ListParticipants": {"room": "ROOM"},
        "GetParticipant": {"room": "ROOM", "identity": "caller"},
        "RemoveParticipant": {"room": "ROOM", "identity": "caller"},
        "MutePublishedTrack": {"room": "ROOM", "identity": "caller", "muted": True},
        "UpdateParticipant": {"room": "ROOM", "identity": "caller", "metadata": "x"},
        "UpdateSubscriptions": {"room": "ROOM", "identity": "caller", "subscribe": True},
        "SendData": {"room": "ROOM", "data": "eA=="},
        "UpdateRoomMetadata": {"room": "ROOM", "metadata": "x"},
    },
    "AgentDispatchService": {
        "CreateDispatch": {"room": "ROOM", "agent_name": "x"},
        "ListDispatch": {"room": "ROOM"},
        "DeleteDispatch": {"room": "ROOM", "dispatch_id": "x"},
    },
    "Egress": {"ListEgress": {"room_name": "ROOM"}},
}
"""What LiveKit's own API can do to a room, or tell of it."""


async def test_a_token_opens_no_administration_of_another_room_or_its_own(gateway: Gateway):
    mine, other = gateway.call(), gateway.call("tomas")
    headers = {"Authorization": f"Bearer {mine['token']}"}
    base = f"{gateway.livekit_url.replace('ws', 'http', 1)}/twirp/livekit"
    async with httpx.AsyncClient(trust_env=False) as http:
        for room in (other["room"], mine["room"]):
            for service, methods in ADMINISTRATION.items():
                for method, asked in methods.items():
                    body = {k: room if v == "ROOM" else v for k, v in asked.items()}
                    answer = await http.post(
                        f"{base}.{service}/{method}", json=body, headers=headers
                    )
                    assert answer.status_code in {401, 403}, (service, method, answer.text)


def for_another_room(token: str, room: str) -> str:
    """The same token and signature with another room in it."""
    header, claims, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    told["video"]["room"] = room
    forged = base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


@asynccontextmanager
async def avatar_in(gateway: Gateway, room_name: str) -> AsyncIterator[tuple[rtc.Room, set[str]]]:
    """An avatar in its room, and the ids of its voice and its face."""
    async with caller(gateway.livekit_url, agent_token(room_name)) as avatar:
        me = avatar.local_participant
        voice = rtc.LocalAudioTrack.create_audio_track("voice", rtc.AudioSource(48_000, 1))
        face = rtc.LocalVideoTrack.create_video_track("face", rtc.VideoSource(256, 256))
        yield avatar, {(await me.publish_track(track)).sid for track in (voice, face)}


async def granted(url: str, track_sids: set[str], of_them: int) -> set[str]:
    """Ask for tracks over bare signalling: those that LiveKit lets one receive.

    Waits until there are so many, and then for a second more.
    """
    allowed: set[str] = set()
    async with connect(f"{url}&protocol=16&auto_subscribe=0") as signalling:
        wanted = UpdateSubscription(track_sids=track_sids, subscribe=True)
        await signalling.send(SignalRequest(subscription=wanted).SerializeToString())
        with suppress(TimeoutError):
            while True:
                wait_s = 20 if len(allowed) < of_them else 1
                message = await asyncio.wait_for(signalling.recv(), wait_s)
                assert isinstance(message, bytes)
                answer = SignalResponse.FromString(message).subscription_permission_update
                allowed |= {answer.track_sid} if answer.allowed else set()
    return allowed


@dataclass
class Told:
    """What reached somebody in a room."""

    words: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    data: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    @classmethod
    def to(cls, room: rtc.Room) -> "Told":
        told = cls()
        reading: set[asyncio.Task[None]] = set()

        async def read(reader: rtc.TextStreamReader) -> None:
            told.words.put_nowait(await reader.read_all())

        room.on("data_received", lambda packet: told.data.put_nowait(packet.data))
        room.register_text_stream_handler(
            "lk.transcription", lambda reader, _: reading.add(asyncio.create_task(read(reader)))
        )
        return told


async def test_a_token_hears_sees_and_reads_nothing_of_another_room(gateway: Gateway):
    mine, other = gateway.call(), gateway.call("tomas")
    url = f"{mine['livekit_url']}/rtc?access_token="
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url + for_another_room(mine["token"], other["room"])):
            pass
    assert refused.value.response.status_code == 401
    async with (
        avatar_in(gateway, mine["room"]) as (own_avatar, own_tracks),
        avatar_in(gateway, other["room"]) as (other_avatar, other_tracks),
    ):
        asked_for = own_tracks | other_tracks
        assert await granted(url + mine["token"], asked_for, len(own_tracks)) == own_tracks
        async with (
            caller(mine["livekit_url"], mine["token"]) as me,
            caller(other["livekit_url"], other["token"]) as owner,
        ):
            to_me, to_owner = Told.to(me), Told.to(owner)
            to_own_avatar, to_other_avatar = Told.to(own_avatar), Told.to(other_avatar)
            for avatar, words in ((other_avatar, "private"), (own_avatar, "for me")):
                await avatar.local_participant.send_text(words, topic="lk.transcription")
            # both avatars have this name
            name = [other_avatar.local_participant.identity]
            for person, data in ((me, b"mine"), (owner, b"theirs")):
                await person.local_participant.publish_data(data, destination_identities=name)
            async with asyncio.timeout(10):
                assert await to_me.words.get() == "for me"
                assert await to_owner.words.get() == "private"
                assert await to_own_avatar.data.get() == b"mine"
                assert await to_other_avatar.data.get() == b"theirs"
            await asyncio.sleep(0.5)
            for told in (to_me, to_owner, to_own_avatar, to_other_avatar):
                assert told.words.empty()
                assert told.data.empty()
            assert [p.sid for p in me.remote_participants.values()] == [
                own_avatar.local_participant.sid
            ]


async def test_a_room_made_again_after_its_call_is_closed_without_a_webhook(tmp_path: Path):
    """Under TLS LiveKit cannot reach the gateway: a room that nobody tells of is found."""
    with gateway_and_livekit(tmp_path, with_webhook=False) as gateway:
        created = gateway.call()
        gateway.http.delete(f"/api/rooms/{created['room']}/record")
        async with livekit_api(gateway) as client, asyncio.timeout(10):
            await client.room.create_room(api.CreateRoomRequest(name=created["room"]))
            asked = api.ListRoomsRequest(names=[created["room"]])
            while (await client.room.list_rooms(asked)).rooms:  # noqa: ASYNC110  # no event
                await asyncio.sleep(0.1)


async def test_a_bad_token_is_refused_with_livekits_own_status(gateway: Gateway):
    url = gateway.url.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{url}/livekit/rtc?access_token=nonsense"):
            pass
    assert refused.value.response.status_code == 401
    answer = gateway.http.get("/livekit/rtc/validate?access_token=nonsense")
    assert answer.status_code == 401


def test_readiness_sees_livekit_and_the_database(gateway: Gateway):
    answer = gateway.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["not_ready"] == ["actor", "thinker", "agent_worker"]


def test_tokens_never_reach_the_log(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory):
    logs = list(tmp_path_factory.getbasetemp().glob("gateway*/gateway.log"))
    assert logs
    for log in logs:
        assert "eyJ" not in log.read_text()


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """Settings that turn TLS on with a self-signed certificate."""
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    subject = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(["openssl", *request.split(), *subject], check=True, capture_output=True)
    return {"tls_cert": cert, "tls_key": key}


async def test_with_tls_one_certificate_serves_page_rest_and_signalling(
    gateway: Gateway, tmp_path: Path, certificate: dict[str, str]
):
    (port,) = free_ports(1)
    trusting = ssl.create_default_context(cafile=certificate["tls_cert"])
    with gateway_process(tmp_path, port, gateway.livekit_url, **certificate) as http:
        created = http.post("/api/rooms", json={"avatar_id": "mara"}).json()
        assert created["livekit_url"] == f"wss://127.0.0.1:{port}/livekit"
        assert created["call_url"].startswith(f"https://127.0.0.1:{port}/call/")
        query = f"access_token={created['token']}&protocol=16&auto_subscribe=1"
        async with connect(f"{created['livekit_url']}/rtc?{query}", ssl=trusting) as socket:
            first = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(first, bytes)
    assert created["room"].encode() in first


async def test_a_caller_can_be_nobody_else_and_publish_nothing_but_camera_and_microphone(
    gateway: Gateway,
) -> None:
    created = gateway.call()
    async with caller(created["livekit_url"], created["token"]) as room:
        me = room.local_participant
        assert me.kind == rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
        assert not me.attributes
        # The client says nothing of it; what counts is what the server then tells others.
        await me.set_name("Mara")
        await me.set_attributes({"lk.agent.state": "speaking"})
        await asyncio.sleep(1)
        async with livekit_api(gateway) as client:
            asked = api.ListParticipantsRequest(room=created["room"])
            (seen,) = (await client.room.list_participants(asked)).participants
    assert (seen.name, dict(seen.attributes)) == ("Caller", {})
    assert [*seen.permission.can_publish_sources] == [
        api.TrackSource.MICROPHONE,
        api.TrackSource.CAMERA,
    ]
    assert not seen.permission.can_update_metadata
    assert not seen.permission.agent
    assert not seen.permission.hidden


async def test_with_keys_a_stranger_reaches_no_room_and_a_caller_only_his_own(
    gateway: Gateway, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    key = "a-key-of-more-than-32-characters-0123"
    wanted = {"require_keys": "true", "admin_key": key}
    # LiveKit tells the other gateway who came: both must know of all calls.
    wanted |= {"data_dir": str(gateway.data_dir)}
    with gateway_process(tmp_path, port, gateway.livekit_url, **wanted) as http:
        body = {"avatar_id": "mara"}
        assert http.post("/api/rooms", json=body).status_code == 401
        by_key = {"Authorization": f"Bearer {key}"}
        mine, other = (http.post("/api/rooms", json=body, headers=by_key).json() for _ in "ab")
        by_token = {"Authorization": f"Bearer {mine['token']}"}
        assert http.get(f"/api/rooms/{other['room']}", headers=by_token).status_code == 404
        async with caller(mine["livekit_url"], mine["token"]) as room:
            assert room.name == mine["room"]
            ended = await asyncio.to_thread(
                http.delete, f"/api/rooms/{mine['room']}", headers=by_token
            )
        assert ended.json()["state"] == "ended"
        assert http.get(f"/api/rooms/{other['room']}", headers=by_key).json()["state"] == "created"
    assert key not in (tmp_path / "gateway.log").read_text()
