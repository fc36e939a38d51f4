"""The real worker in a real LiveKit room, with engines that beep and flash."""

import asyncio
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile
import yaml
from livekit import api, rtc

from proto.messages import Mood
from proto.time_law import SPEECH_HZ
from proto.wire.curve import new_key_pair
from services.callbench.questions import MICROPHONE_HZ, clip
from services.paths import cache_paths
from services.provenance import ProvenanceKey, ProvenanceRefused, jwk, verify
from services.room_agent.job import AvatarJob, CallJob, RoomState
from services.room_agent.livekit_media import LiveKitAudio, LiveKitVideo, publish, sent_frames
from tests.integration.room_agent.caller import Caller, call, until
from tests.integration.room_agent.engine_doubles import ActorDouble, ThinkerDouble
from tests.leaks import leaks

pytestmark = [pytest.mark.integration, pytest.mark.realtime]

KEY, SECRET = "testkey", "a-secret-of-at-least-32-characters"
AGENT = "tested-agent"
PROVENANCE = ProvenanceKey.new()
_, CURVE_SECRET = new_key_pair()
REPOSITORY = Path(__file__).resolve().parents[2]


def _livekit_binary() -> Path:
    programs = sorted(cache_paths(os.environ).programs.glob("livekit-server-v*"))
    if not programs:
        pytest.skip("LiveKit server is not built: run `make run` once")
    return programs[-1]


def _free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(what: str, ready: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def livekit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a LiveKit server of our own."""
    folder = tmp_path_factory.mktemp("livekit")
    port = _free_port()
    settings = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {KEY: SECRET},
        "rtc": {
            "tcp_port": _free_port(),
            "udp_port": _free_port(socket.SOCK_DGRAM),
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            "stun_servers": ["127.0.0.1:3478"],
        },
        "room": {"sync_streams": True},
    }
    config = folder / "livekit.yaml"
    config.write_text(yaml.safe_dump(settings))
    with (folder / "livekit.log").open("w") as log:
        server = subprocess.Popen(
            [_livekit_binary(), "--config", config], stdout=log, stderr=subprocess.STDOUT
        )
        _wait("LiveKit server", lambda: _answers(f"http://127.0.0.1:{port}"), 20)
        yield f"ws://127.0.0.1:{port}"
        server.terminate()
        server.wait(10)


@dataclass(frozen=True)
class Worker:
    """The agent's process, and where it looks for its engines."""

    url: str
    endpoints: dict[str, str]
    process: psutil.Process
    log: Path


@dataclass
class Stage:
    """Everything around one call."""

    url: str
    thinker: ThinkerDouble
    actor: ActorDouble
    worker: psutil.Process
    agent_name: str = AGENT
    departure_s: int = 2
    call_id: str = field(default_factory=lambda: f"call-{uuid.uuid4().hex[:8]}")

    async def create_call(self, portrait: Path) -> str:
        """Create the room and dispatch the agent; returns the caller's token."""
        avatar = AvatarJob(id="a", name="Ada", voice="hibari", persona="You are Ada.")
        job = CallJob(call_id=self.call_id, avatar=avatar, portrait_path=str(portrait))
        dispatch = api.RoomAgentDispatch(agent_name=self.agent_name, metadata=job.to_metadata())
        async with api.LiveKitAPI(self.url, KEY, SECRET) as livekit_api:
            await livekit_api.room.create_room(
                api.CreateRoomRequest(
                    name=self.call_id, agents=[dispatch], departure_timeout=self.departure_s
                )
            )
        grants = api.VideoGrants(room_join=True, room=self.call_id)
        token = api.AccessToken(KEY, SECRET).with_identity("caller").with_grants(grants)
        return token.to_jwt()

    def processes(self) -> set[int]:
        """The ids of the worker's processes."""
        return {process.pid for process in self.worker.children(recursive=True)}


@pytest.fixture(scope="module")
def worker(livekit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The worker, warm, with endpoints at which the tests put their doubles."""
    with running_worker(livekit, tmp_path_factory.mktemp("agent"), AGENT) as started:
        yield started


@contextmanager
def running_worker(
    livekit: str, folder: Path, agent_name: str, leave_after_s: int = 2
) -> Iterator[Worker]:
    """A worker of this name; stopped at the end if it still runs. It must have logged no secret."""
    health = _free_port()
    endpoints = {name: f"ipc://{folder}/{name}" for name in ("thinker", "actor")}
    environment = os.environ | {
        "XSTREAMER_AGENT_LIVEKIT_URL": livekit,
        "XSTREAMER_AGENT_LIVEKIT_API_KEY": KEY,
        "XSTREAMER_AGENT_LIVEKIT_API_SECRET": SECRET,
        "XSTREAMER_AGENT_AGENT_NAME": agent_name,
        "XSTREAMER_AGENT_DRAIN_TIMEOUT_S": "2",
        "XSTREAMER_AGENT_THINKER_ENDPOINT": endpoints["thinker"],
        "XSTREAMER_AGENT_ACTOR_ENDPOINT": endpoints["actor"],
        "XSTREAMER_AGENT_HEALTH_PORT": str(health),
        "XSTREAMER_AGENT_LEAVE_AFTER_S": str(leave_after_s),
        "XSTREAMER_AGENT_PROVENANCE_KEY": PROVENANCE.text,
        "XSTREAMER_AGENT_CURVE_SECRET_KEY": CURVE_SECRET,
        "XSTREAMER_AGENT_LOG_LEVEL": "DEBUG",
    }
    path = folder / "worker.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.room_agent"],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _wait("worker", lambda: _answers(f"http://127.0.0.1:{health}/"), 60)
        assert "registered worker" in path.read_text()
        yield Worker(livekit, endpoints, psutil.Process(process.pid), path)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    secrets = {
        "LiveKit's secret": SECRET,
        "the provenance key": PROVENANCE.text,
        "the CURVE key": CURVE_SECRET,
    }
    assert leaks([path], secrets) == []


@pytest.fixture
async def stage(worker: Worker) -> AsyncIterator[Stage]:
    """The worker with fresh engine doubles."""
    thinker = ThinkerDouble(worker.endpoints["thinker"], reply_chunks=10)
    actor = ActorDouble(worker.endpoints["actor"])
    async with actor.running(), thinker.running():
        yield Stage(worker.url, thinker, actor, worker.process)


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "portrait.png"
    path.write_bytes(b"what the double does not look at")
    return path


async def _replied(caller: Caller) -> None:
    """Ask a question and wait for the whole answer."""
    turns = len(caller.record.turns)
    await caller.say(clip("france").wav)
    await until("a reply", lambda: len(caller.record.turns) > turns, 15)


async def test_the_first_frame_comes_soon_and_the_face_runs_at_25_fps(
    stage: Stage, portrait: Path
) -> None:
    begun = time.monotonic()
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        assert caller.record.frames[0][0] - begun < 2.0
        caller.record.frames.clear()
        await asyncio.sleep(6)
        gaps = [b - a for (a, _), (b, _) in pairwise(caller.record.frames)]
        assert 24 <= 1 / statistics.mean(gaps) <= 25.5
        assert max(gaps) < 0.2
        assert caller.attribute("lk.agent.state") == "listening"
        assert caller.attribute("xs.brain") == "beeper"


async def test_a_caller_receives_the_signed_statement_that_these_tracks_are_synthetic(
    stage: Stage, portrait: Path
) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        await until("a statement", lambda: caller.attribute("xs.provenance"))
        (avatar,) = caller.room.remote_participants.values()
        assert caller.attribute("xs.synthetic") == "true"
        statement, jwks = caller.attribute("xs.provenance"), {"keys": [jwk(PROVENANCE.public_text)]}
        received = sorted(avatar.track_publications)
        stated = verify(statement, jwks, stage.call_id, avatar.identity, received)
        assert stated.synthetic
        assert sorted(stated.tracks) == received
        assert len(received) == 2
        with pytest.raises(ProvenanceRefused):
            verify(statement, jwks, stage.call_id, avatar.identity, [caller.microphone_sid])


async def test_a_spoken_question_is_answered_in_step_with_captions(
    stage: Stage, portrait: Path
) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        await until("sound of the caller", lambda: stage.thinker.heard_blocks)
        sent, blocks = caller.blocks_sent, stage.thinker.heard_blocks[stage.call_id]
        voice_end = await caller.say(clip("france").wav)
        await until("the turn's report", lambda: caller.record.turns, 15)
        await until("captions", lambda: caller.record.captions["reply-1"].final)
        report = caller.record.turns[0]
        beeps, flashes = caller.record.beeps(), caller.record.flashes()
        offsets = [min((flash - beep for beep in beeps), key=abs) for flash in flashes]
        gaps = [b - a for a, b in pairwise(beeps)]
        assert beeps[0] - voice_end < 0.9
        heard = stage.thinker.heard_blocks[stage.call_id] - blocks
        assert heard == pytest.approx(caller.blocks_sent - sent, abs=15)
        assert len(beeps) == len(flashes) == 10
        assert abs(statistics.median(offsets)) < 0.08
        assert all(gap == pytest.approx(0.32, abs=0.06) for gap in gaps)
        assert report["heard_tokens"] == 40
        reply = caller.record.captions["reply-1"]
        assert reply.text == "".join(f"word{index} " for index in range(10))
        user = caller.record.captions["user-1"]
        assert (user.text, user.track) == ("what I heard", caller.microphone_sid)
        assert [s for _, s in caller.record.states[-3:]] == ["thinking", "speaking", "listening"]
        assert [b.phase for b in stage.thinker.boundaries][-1] == "ended"
        assert stage.actor.listened_tokens > 10


async def test_speaking_over_a_reply_silences_it_at_once_and_only_what_was_heard_counts(
    stage: Stage, portrait: Path
) -> None:
    stage.thinker.steady = True
    token = await stage.create_call(portrait)
    interruption = clip("italy")
    latencies = []
    async with call(stage.url, token) as caller:
        record, room = caller.record, caller.room
        await until("a frame", lambda: record.frames)
        for _ in range(2):
            stage.thinker.reply_chunks = 30
            await room.local_participant.send_text("Talk to me.", topic="lk.chat")
            await until("speech", lambda: record.states[-1][1] == "speaking")
            spoke = record.states[-1][0]
            await asyncio.sleep(1.5)
            stage.thinker.interrupts.clear()
            stage.actor.interrupts.clear()
            begun = time.monotonic() + interruption.voice_start_s
            speaking = asyncio.create_task(caller.say(interruption.wav))
            await until("an interrupt", lambda: stage.actor.interrupts)
            message = stage.thinker.interrupts[0]
            await asyncio.sleep(0.3)
            sounded = record.sounded_after(spoke - 0.5)
            latencies.append(sounded[-1] - begun)
            # What counts is what the caller heard, of 9.6 s, however soon that ended; a receiver
            # that goes hungry stretches it.
            assert message.heard_tokens * 0.08 == pytest.approx(sounded[-1] - sounded[0], abs=0.6)
            mirrored = stage.actor.interrupts[0]
            assert mirrored.model_dump(exclude={"seq", "sent_us"}) == message.model_dump(
                exclude={"seq", "sent_us"}
            )
            await speaking
            await until("the next reply", lambda: record.states[-1][1] == "speaking", 15)
            stage.thinker.reply_chunks = 2
            await room.local_participant.send_text("Enough.", topic="lk.chat")
            await until("silence", lambda: record.states[-1][1] == "listening", 20)
            await asyncio.sleep(1)  # its last sound is not the first one of the next reply
    assert min(latencies) < 0.4


async def test_typed_text_is_answered_and_interrupts(stage: Stage, portrait: Path) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        await caller.room.local_participant.send_text("Hello?", topic="lk.chat")
        await until("speech", lambda: len(caller.record.beeps()) > 2)
        await caller.room.local_participant.send_text("And now?", topic="lk.chat")
        await until("two turns", lambda: len(caller.record.turns) == 2, 15)
        assert [text.text for text in stage.thinker.texts] == ["Hello?", "And now?"]
        assert [text.turn for text in stage.thinker.texts] == [1, 2]
        first, second = caller.record.turns
        assert first["outcome"] == "interrupted"
        assert first["typed"]
        assert 0 < first["points"]["chunk_received"] <= first["points"]["frame_captured"]
        assert 0 < first["heard_tokens"] < 40
        assert second["heard_tokens"] == 40
        cut = caller.record.captions["reply-1"]
        await until("the cut caption", lambda: cut.final)
        assert 0 < len(cut.text.split()) < 10


async def test_a_client_that_floods_every_topic_with_garbage_is_still_answered(
    stage: Stage, portrait: Path
) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        page = caller.room.local_participant
        lie = {"turn": 1, "epoch": 1, "moment": "began", "heard_us": 0, "seen_us": 2**53}
        for topic in ("xs.clock", "xs.then", "xs.quality", "xs.turn", "lk.chat", ""):
            for garbage in (b"\xff" * 5_000, b"[" * 2_000, b"", b'{"sent_ms": 1}') * 20:
                await page.publish_data(garbage, topic=topic)
            await page.publish_data(json.dumps(lie | {"error_us": 2**53}), topic=topic)
        for _ in range(20):
            await page.stream_text(topic="lk.chat")  # never ended
            recording = await page.stream_bytes(
                "x", mime_type="audio/opus", topic="lk.agent.pre-connect-audio-buffer"
            )
            await recording.write(b"\x1aE\xdf\xa3" + b"\xff" * 2_000)
            await recording.aclose()
        await page.publish_data(json.dumps(lie | {"error_us": 0}), topic="xs.then")
        await caller.say(clip("france").wav)
        await until("a turn", lambda: caller.record.turns, 20)
        assert caller.record.turns[-1]["outcome"] == "completed"
        await page.send_text("x" * 300_000, topic="lk.chat")
        await until("the words", lambda: stage.thinker.texts, 30)
        assert len(stage.thinker.texts[-1].text) == 4_000
        await until("its answer", lambda: len(caller.record.turns) == 2, 20)


async def test_a_mood_that_the_room_is_told_of_reaches_the_actor(
    stage: Stage, portrait: Path
) -> None:
    token = await stage.create_call(portrait)
    warm, serious = Mood(expression="warm", yaw_deg=3.0), Mood(expression="serious")
    async with api.LiveKitAPI(stage.url, KEY, SECRET) as livekit_api:

        async def tell(mood: Mood) -> None:
            metadata = RoomState(mood=mood).to_metadata()
            update = api.UpdateRoomMetadataRequest(room=stage.call_id, metadata=metadata)
            await livekit_api.room.update_room_metadata(update)

        await tell(warm)  # perhaps before the agent has joined
        async with call(stage.url, token) as caller:
            await until("a frame", lambda: caller.record.frames)
            await until("the mood of the room", lambda: stage.actor.moods[-1:] == [warm])
            await tell(serious)
            await until("the new mood", lambda: stage.actor.moods[-1:] == [serious])


async def test_words_from_before_the_call_was_up_are_answered(stage: Stage, portrait: Path) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token, said_before=clip("france").wav) as caller:
        await until("the turn's report", lambda: caller.record.turns, 15)
        assert caller.record.turns[0]["heard_tokens"] == 40
        assert stage.thinker.boundaries[0].phase == "started"


async def test_a_call_without_its_portrait_is_ended(stage: Stage, tmp_path: Path) -> None:
    token = await stage.create_call(tmp_path / "missing.png")
    async with call(stage.url, token) as caller:
        await until("the end", lambda: not caller.room.isconnected())
        assert not stage.actor.faces


async def test_hanging_up_frees_everything(stage: Stage, portrait: Path) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        assert stage.actor.faces
        assert stage.thinker.sessions
        during = stage.processes()
    await until("sessions closed", lambda: not stage.actor.faces and not stage.thinker.sessions)
    await until("the call's process gone", lambda: during - stage.processes(), 15)
    assert len(stage.processes()) <= len(during)


async def test_the_call_outlives_its_actor(stage: Stage, portrait: Path) -> None:
    token = await stage.create_call(portrait)
    async with call(stage.url, token) as caller:
        await until("a frame", lambda: caller.record.frames)
        await _replied(caller)
        stage.actor.faces.clear()
        await until("a notice", lambda: caller.attribute("xs.error"), 10)
        frames = len(caller.record.frames)
        await until("frames go on", lambda: len(caller.record.frames) > frames + 25)
        await until("the actor again", lambda: stage.actor.faces, 10)
        await until("the notice gone", lambda: not caller.attribute("xs.error"), 10)
        await _replied(caller)
        assert caller.record.turns[-1]["heard_tokens"] == 40


async def test_a_worker_that_is_told_to_stop_hangs_up_and_leaves_no_process(
    livekit: str, tmp_path: Path, portrait: Path
) -> None:
    agent_name = f"{AGENT}-that-stops"
    with running_worker(livekit, tmp_path, agent_name) as worker:
        thinker = ThinkerDouble(worker.endpoints["thinker"], reply_chunks=10)
        actor = ActorDouble(worker.endpoints["actor"])
        async with actor.running(), thinker.running():
            stage = Stage(worker.url, thinker, actor, worker.process, agent_name)
            token = await stage.create_call(portrait)
            async with call(stage.url, token) as caller:
                await until("a frame", lambda: caller.record.frames)
                family = [worker.process, *worker.process.children(recursive=True)]
                begun = time.monotonic()
                worker.process.terminate()
                await asyncio.to_thread(psutil.wait_procs, family, 12)
                assert not [process for process in family if process.is_running()]
                assert time.monotonic() - begun < 8
                assert not actor.faces
                assert not thinker.sessions


@asynccontextmanager
async def _published(livekit: str) -> AsyncIterator[tuple[rtc.Room, LiveKitAudio, LiveKitVideo]]:
    """A participant that publishes both tracks as the agent does."""
    grants = api.VideoGrants(room_join=True, room=uuid.uuid4().hex)
    token = api.AccessToken(KEY, SECRET).with_identity("avatar").with_grants(grants).to_jwt()
    room, audio, video = rtc.Room(), LiveKitAudio(queue_ms=200), LiveKitVideo()
    await room.connect(livekit, token)
    try:
        await publish(room.local_participant, audio, video)
        yield room, audio, video
    finally:
        await room.disconnect()


async def _statistics(room: rtc.Room, kind: rtc.TrackKind.ValueType) -> list[rtc.stats.RtcStats]:
    (track,) = (
        publication.track
        for publication in room.local_participant.track_publications.values()
        if publication.track and publication.kind == kind
    )
    return await track.get_stats()


async def test_frames_that_became_due_at_once_are_all_sent(livekit: str) -> None:
    """WebRTC drops a frame that follows another too soon, as frames do when the loop was late."""
    shade = np.linspace(90, 160, 384 * 256).astype(np.uint8).reshape(384, 256)
    frames = [np.roll(shade, 5 * n, axis=0) for n in range(99)]
    async with _published(livekit) as (room, _, video):

        async def sent() -> int:
            return sent_frames(await _statistics(room, rtc.TrackKind.KIND_VIDEO))

        async with asyncio.timeout(20):  # the encoder starts with the first frames
            while not await sent():
                video.show(frames[0])
                await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        before = await sent()
        for three in zip(frames[::3], frames[1::3], frames[2::3], strict=True):
            for frame in three:
                video.show(frame)
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.105)
        await asyncio.sleep(1)
        assert await sent() - before >= 94, "of 99, of which 66 came 5 ms after another"


async def test_silence_is_hardly_sent(livekit: str) -> None:
    """Speech must not wait behind silence that a starved receiver did not play in time."""
    recorded, _ = soundfile.read(io.BytesIO(clip("story").wav), dtype="int16")
    speech = recorded[:: MICROPHONE_HZ // SPEECH_HZ]
    async with _published(livekit) as (room, audio, _):

        async def packets() -> int:
            entries = await _statistics(room, rtc.TrackKind.KIND_AUDIO)
            outbound = [e.outbound_rtp for e in entries if e.WhichOneof("stats") == "outbound_rtp"]
            return sum(stream.sent.packets_sent for stream in outbound)

        async def packets_a_second(pcm: np.ndarray) -> float:
            before = await packets()
            for at in range(0, len(pcm) - 479, 480):
                await audio.push(pcm[at : at + 480])
            return (await packets() - before) * SPEECH_HZ / len(pcm)

        silence = np.zeros(2 * SPEECH_HZ, np.int16)
        await packets_a_second(silence)  # it takes 0.2 s of it to be known as silence
        assert await packets_a_second(silence) < 10
        assert await packets_a_second(speech) > 40
