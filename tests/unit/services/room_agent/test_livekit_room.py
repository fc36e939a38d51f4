"""What LiveKit's room and the agent tell each other. LiveKit's client is a double."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import AutoSubscribe
from livekit.protocol.models import TF_PRECONNECT_BUFFER
from livekit.rtc.participant import PublishDataError

from proto.time_law import HEARING_BLOCK_SAMPLES
from services.room_agent import livekit_room, microphone
from services.room_agent.conversation import MAX_NAME_CHARACTERS
from services.room_agent.livekit_room import CAPTION_TOPIC, LiveKitRoom
from services.room_agent.microphone import HEARING_BLOCK_US, HEARING_QUEUE_FRAMES
from services.room_agent.preconnect import TOPIC as RECORDING_TOPIC
from services.room_agent.splice import Recorded
from services.room_agent.typed_words import (
    CHAT_TOPIC,
    MAX_CHAT_CHARACTERS,
    NAME_ATTRIBUTE,
    READ_TOPIC,
)
from tests.unit.services.room_agent.fake_livekit import (
    AGENT,
    SCREEN,
    Publication,
    Room,
    Text,
    participant,
    sound,
    track,
)
from tests.unit.services.room_agent.test_hostile_clients import Recording

pytestmark = pytest.mark.unit

SPLICE_BLOCKS = Recorded(np.zeros(0, np.int16)).wanted_samples // HEARING_BLOCK_SAMPLES

CALLER = participant("caller")
AVATAR = participant("another avatar", kind=AGENT)


class Events:
    """Notes what the room says."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, Any]] = []
        self.heard: list[tuple[int, int]] = []
        """The first sample of each block, and how long ago it was said."""
        self.levels = asyncio.Queue[int]()
        self.listening = asyncio.Event()
        self.listening.set()

    async def listens(self) -> None:
        await self.listening.wait()

    def hear(self, pcm: np.ndarray, behind_us: int = 0) -> None:
        self.heard.append((int(pcm[0]), behind_us))
        self.levels.put_nowait(int(pcm[0]))

    def read(self, text: str, name: str = "") -> None:
        self.notes.append(("read", text))
        if name:
            self.notes.append(("named", name))

    def page_said(self, topic: str, payload: bytes) -> None:
        self.notes.append((topic, payload))

    def caller_came(self) -> None:
        self.notes.append(("came", None))

    def caller_left(self) -> None:
        self.notes.append(("left", None))

    def reconnected(self) -> None:
        self.notes.append(("reconnected", None))

    def declared(self, statement: str) -> None:
        self.notes.append(("declared", statement))

    def told(self, metadata: str) -> None:
        if metadata:
            self.notes.append(("metadata", metadata))

    def room_closed(self, reason: str) -> None:
        self.notes.append(("closed", reason))


class Joined:
    """A room that the agent has joined."""

    def __init__(self, rtc_room: Room, took_over: bool) -> None:
        self.rtc = rtc_room
        self.events = Events()
        self.subscriptions: list[AutoSubscribe] = []
        self.room = LiveKitRoom(
            SimpleNamespace(room=rtc_room, connect=self._connect),  # type: ignore[arg-type]
            200,
            lambda room, me, tracks: f"{me} in {room}: {', '.join(tracks)}",
            took_over=took_over,
        )

    async def _connect(self, auto_subscribe: AutoSubscribe) -> None:
        assert self.rtc.handlers.keys() == {CHAT_TOPIC, RECORDING_TOPIC}, "nothing may be missed"
        self.subscriptions.append(auto_subscribe)

    def told(self, kind: str) -> list[Any]:
        return [what for name, what in self.events.notes if name == kind]


class CallOver(Exception):
    """Ends the tasks of a room, as the agent does."""


@asynccontextmanager
async def joined(rtc_room: Room, *, took_over: bool = False) -> AsyncIterator[Joined]:
    call = Joined(rtc_room, took_over)
    try:
        async with asyncio.TaskGroup() as tasks:
            await call.room.join(call.events, tasks)
            yield call
            raise CallOver
    except* CallOver:
        pass


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_both_tracks_are_published_and_signed_when_the_room_is_joined() -> None:
    async with joined(Room()) as call:
        assert call.subscriptions == [AutoSubscribe.AUDIO_ONLY]
        kinds = {p.kind for p in call.rtc.local_participant.track_publications.values()}
        assert kinds == {rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO}
        assert call.told("declared") == ["avatar-1 in room-1: TR_0, TR_1"]
        assert call.room.identity == "avatar-1"


async def test_a_reconnect_that_renames_the_tracks_signs_them_anew() -> None:
    async with joined(Room()) as call:
        mine = call.rtc.local_participant.track_publications
        mine["TR_9"] = mine.pop("TR_0")
        call.rtc.emit("local_track_republished")
        assert call.told("declared")[-1] == "avatar-1 in room-1: TR_1, TR_9"


@pytest.mark.parametrize(
    ("there", "came"), [((), 0), ((AVATAR,), 0), ((CALLER,), 1), ((AVATAR, CALLER), 1)]
)
async def test_a_caller_who_was_there_first_has_come(there: tuple[Any, ...], came: int) -> None:
    async with joined(Room(*there)) as call:
        assert len(call.told("came")) == came


async def test_only_people_come_and_the_call_is_left_with_the_last_of_them() -> None:
    async with joined(Room()) as call:
        call.rtc.emit("participant_connected", AVATAR)
        assert call.told("came") == []
        call.rtc.emit("participant_connected", CALLER)
        assert len(call.told("came")) == 1
        call.rtc.remote_participants = {"caller": CALLER, "avatar": AVATAR}
        call.rtc.emit("participant_disconnected", participant("second caller"))
        assert call.told("left") == []
        call.rtc.remote_participants = {"avatar": AVATAR}
        call.rtc.emit("participant_disconnected", CALLER)
        assert len(call.told("left")) == 1


async def test_what_the_room_is_told_is_passed_on_at_once_and_when_it_changes() -> None:
    room = Room()
    room.metadata = "as it is"
    async with joined(room) as call:
        call.rtc.emit("room_metadata_changed", "as it is", "as it becomes")
        assert call.told("metadata") == ["as it is", "as it becomes"]


async def test_why_the_room_closed_is_said_in_words() -> None:
    async with joined(Room()) as call:
        call.rtc.emit("reconnected")
        call.rtc.emit("disconnected", rtc.DisconnectReason.ROOM_DELETED)
        assert len(call.told("reconnected")) == 1
        assert call.told("closed") == ["ROOM_DELETED"]


@pytest.mark.parametrize(
    ("sender", "topic", "heard"),
    [(CALLER, "xs.then", 1), (CALLER, "anything", 0), (AVATAR, "xs.then", 0), (None, "xs.then", 0)],
)
async def test_only_a_callers_page_is_listened_to(sender: Any, topic: str, heard: int) -> None:
    async with joined(Room()) as call:
        packet = SimpleNamespace(participant=sender, topic=topic, data=b"{}")
        call.rtc.emit("data_received", packet)
        assert call.events.notes.count((topic, b"{}")) == heard


@pytest.mark.parametrize(
    ("stream", "read"),
    [
        (Text(" Hello", " there \n"), ["Hello there"]),
        (Text("  ", "\n"), []),
        (Text("Hel", broken=True), []),
        (Text("x" * 3_000, "y" * 3_000), ["x" * 3_000 + "y" * 1_000]),
    ],
    ids=["words", "blank", "broken", "long"],
)
async def test_what_is_typed_is_read_whole_and_bounded(stream: Text, read: list[str]) -> None:
    async with joined(Room()) as call:
        call.rtc.handlers[CHAT_TOPIC](stream, "caller")
        await settle()
        assert call.told("read") == read
        assert stream.closed
        assert all(len(text) <= MAX_CHAT_CHARACTERS for text in read)
        assert not call.rtc.local_participant.data, "a message without a name has no receipt"


async def test_a_named_message_is_answered_with_a_receipt_once_it_is_read() -> None:
    async with joined(Room()) as call:
        receipts = call.rtc.local_participant.data

        async def send(name: str, *parts: str, broken: bool = False) -> list[str]:
            receipts.clear()
            stream = Text(*parts, broken=broken, attributes={NAME_ATTRIBUTE: name})
            call.rtc.handlers[CHAT_TOPIC](stream, "caller")
            await settle()
            assert all(topic == READ_TOPIC for topic, _ in receipts)
            return [json.loads(receipt)["id"] for _, receipt in receipts]

        assert await send("1", "Hel", broken=True) == []
        assert await send("1", "Hello") == ["1"]
        assert await send("2", "  ") == ["2"]
        long = "x" * MAX_NAME_CHARACTERS
        assert await send(long + "y" * 5_000, "Long") == [long]
        assert call.told("named") == ["1", long]
        call.rtc.local_participant.unreachable = PublishDataError("the connection is down")
        assert await send("last", "Still read") == []
        assert call.told("read") == ["Hello", "Long", "Still read"]


class Microphones:
    """Stands for LiveKit's audio streams; a test says what each of them hears."""

    def __init__(self) -> None:
        self.open: dict[object, asyncio.Queue[int | None]] = {}
        self.closed: list[object] = []

    def from_track(self, *, track: object, capacity: int, **options: Any) -> "Microphone":
        assert capacity == HEARING_QUEUE_FRAMES, "the default has no bound"
        assert (options["sample_rate"], options["frame_size_ms"]) == (16_000, 20)
        self.open[track_of(track)] = asyncio.Queue()
        return Microphone(self, track_of(track))


def track_of(one: object) -> int:
    return id(one)


class Microphone:
    def __init__(self, all_of_them: Microphones, track: int) -> None:
        self._all, self._track = all_of_them, track

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (sample := await self._all.open[self._track].get()) is not None:
            pcm = np.full(HEARING_BLOCK_SAMPLES, sample, np.int16)
            yield SimpleNamespace(frame=SimpleNamespace(data=pcm.tobytes()))

    async def aclose(self) -> None:
        self._all.closed.append(self._track)


@pytest.fixture
def microphones(monkeypatch: pytest.MonkeyPatch) -> Microphones:
    made = Microphones()
    monkeypatch.setattr(rtc, "AudioStream", made)
    return made


async def test_the_callers_microphone_is_heard_until_it_is_gone(microphones: Microphones) -> None:
    voice = sound()
    async with joined(Room()) as call:
        call.rtc.emit("track_subscribed", voice, Publication("TR_a"), CALLER)
        await settle()
        microphones.open[track_of(voice)].put_nowait(7)
        await settle()
        assert call.events.heard == [(7, 0)]
        call.rtc.emit("track_unsubscribed", voice, Publication("TR_a"), CALLER)
        await settle()
        assert microphones.closed == [track_of(voice)]


async def test_neither_another_avatar_nor_a_picture_is_heard(microphones: Microphones) -> None:
    async with joined(Room()) as call:
        call.rtc.emit("track_subscribed", sound(), Publication("TR_a"), AVATAR)
        picture, shared = track(rtc.TrackKind.KIND_VIDEO), Publication("TR_b", SCREEN)
        call.rtc.emit("track_subscribed", picture, shared, CALLER)
        await settle()
        assert microphones.open == {}


async def test_of_two_microphones_the_newer_one_is_heard(microphones: Microphones) -> None:
    old, new = sound(), sound()
    async with joined(Room()) as call:
        call.rtc.emit("track_subscribed", old, Publication("TR_a"), CALLER)
        call.rtc.emit("track_subscribed", new, Publication("TR_b"), CALLER)
        await settle()
        microphones.open[track_of(old)].put_nowait(1)
        microphones.open[track_of(new)].put_nowait(2)
        await settle()
        assert call.events.heard == [(2, 0)]
        assert microphones.closed == [track_of(old)]


async def test_nothing_is_heard_before_somebody_listens(microphones: Microphones) -> None:
    voice = sound()
    async with joined(Room()) as call:
        call.events.listening.clear()
        call.rtc.emit("track_subscribed", voice, Publication("TR_a"), CALLER)
        await settle()
        microphones.open[track_of(voice)].put_nowait(7)
        await settle()
        assert call.events.heard == []
        call.events.listening.set()
        await settle()
        assert call.events.heard == [(7, 0)]


async def recorded(call: Joined, seconds: float) -> None:
    """The page sends what it recorded before the agent came."""
    pcm = np.full(round(48_000 * seconds), 5, np.int16)
    recording = Recording(pcm.tobytes(), "audio/raw", {"trackId": "TR_a"})
    call.rtc.handlers[RECORDING_TOPIC](recording, "caller")
    await settle()


async def test_a_recording_is_heard_before_the_live_sound_as_said_that_long_ago(
    microphones: Microphones,
) -> None:
    voice, made = sound(), Publication("TR_a", features=(int(TF_PRECONNECT_BUFFER),))
    async with joined(Room()) as call:
        await recorded(call, 0.5)
        call.rtc.emit("track_subscribed", voice, made, CALLER)
        await settle()
        for _ in range(SPLICE_BLOCKS):
            microphones.open[track_of(voice)].put_nowait(7)
        microphones.open[track_of(voice)].put_nowait(9)
        async with asyncio.timeout(5):
            while await call.events.levels.get() != 9:
                pass
        *before, live = call.events.heard
        assert live == (9, 0)
        assert len(before) == pytest.approx(25 + SPLICE_BLOCKS, abs=2)
        assert [level for level, _ in before[-SPLICE_BLOCKS:]] == SPLICE_BLOCKS * [7]
        behind = [behind_us for _, behind_us in before]
        assert behind == [HEARING_BLOCK_US * (len(before) - i) for i in range(len(before))]


async def test_who_takes_over_does_not_hear_the_recording_again(microphones: Microphones) -> None:
    voice, made = sound(), Publication("TR_a", features=(int(TF_PRECONNECT_BUFFER),))
    async with joined(Room(participant("caller", made)), took_over=True) as call:
        await recorded(call, 0.5)
        call.rtc.emit("track_subscribed", voice, made, CALLER)
        await settle()
        microphones.open[track_of(voice)].put_nowait(9)
        await settle()
        assert call.events.heard == [(9, 0)]


def inbound(delay_s: float, emitted: int) -> Any:
    found = SimpleNamespace(jitter_buffer_delay=delay_s, jitter_buffer_emitted_count=emitted)
    return SimpleNamespace(
        WhichOneof=lambda _: "inbound_rtp", inbound_rtp=SimpleNamespace(inbound=found)
    )


OTHER = SimpleNamespace(WhichOneof=lambda _: "codec")


async def test_the_wait_in_the_jitter_buffer_is_that_of_the_last_seconds(
    microphones: Microphones, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "STATISTICS_EVERY_S", 0.0)
    readings = [[OTHER, inbound(0.0, 0)], [inbound(480.0, 16_000)], [inbound(800.0, 32_000)]]
    async with joined(Room()) as call:
        call.rtc.emit("track_subscribed", sound(*readings), Publication("TR_a"), CALLER)
        await settle()
        assert call.room.jitter_us == 20_000


@pytest.mark.parametrize(
    ("readings", "fps"),
    [
        ((0, 100, 125, 140), 20.0),  # 40 frames in the 2 s since the first
        ((0, 100, 125, 10, 15), 40 / 3),  # the connection was made anew
    ],
)
async def test_frames_are_counted_from_the_first_reading_on(
    readings: tuple[int, ...], fps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(livekit_room, "STATISTICS_EVERY_S", 0.0)
    now_us = iter(range(0, 10_000_000, 1_000_000))
    monkeypatch.setattr(livekit_room, "call_us", lambda: next(now_us))

    def sent(frames: int) -> list[Any]:
        stream = SimpleNamespace(outbound=SimpleNamespace(frames_sent=frames))
        return [OTHER, SimpleNamespace(WhichOneof=lambda _: "outbound_rtp", outbound_rtp=stream)]

    face = track(rtc.TrackKind.KIND_VIDEO, *map(sent, readings))

    async def publish(*_: object) -> Any:
        return face

    monkeypatch.setattr(livekit_room, "publish", publish)
    monkeypatch.setattr(LiveKitRoom, "_declare_tracks", lambda *_: None)
    async with joined(Room()) as call:
        assert call.room.sent_fps is None
        await settle()
        assert call.room.sent_fps == pytest.approx(fps)


async def test_captions_name_their_track_and_their_end() -> None:
    async with joined(Room()) as call:
        caption = await call.room.open_caption("reply-1")
        await caption.write("Hello ")
        await caption.write("you.")
        await caption.finish()
        (writer,) = call.rtc.local_participant.texts
        assert writer.text == "Hello you."
        assert writer.options["topic"] == CAPTION_TOPIC
        assert writer.options["attributes"] == {
            "lk.segment_id": "reply-1",
            "lk.transcribed_track_id": "TR_0",
            "lk.transcription_final": "false",
        }
        assert writer.closed_with == {"lk.transcription_final": "true"}


async def test_the_callers_words_are_shown_as_the_callers(microphones: Microphones) -> None:
    async with joined(Room()) as call:
        await call.room.show_user_caption("turn-1", "typed", final=False)
        call.rtc.emit("track_subscribed", sound(), Publication("TR_a"), CALLER)
        await call.room.show_user_caption("turn-2", "said", final=True)
        typed, said = call.rtc.local_participant.texts
        assert typed.options["sender_identity"] is None
        assert (said.options["sender_identity"], said.text) == ("caller", "said")
        assert said.options["attributes"]["lk.transcribed_track_id"] == "TR_a"
        assert said.options["attributes"]["lk.transcription_final"] == "true"


async def test_what_the_page_cannot_be_told_is_lost_and_ends_nothing() -> None:
    async with joined(Room()) as call:
        await call.room.tell_page("xs.turn", "{}")
        call.rtc.local_participant.unreachable = PublishDataError("no connection")
        await call.room.tell_page("xs.turn", "{}")
        assert call.rtc.local_participant.data == [("xs.turn", "{}")]


async def test_attributes_are_those_that_livekit_shows() -> None:
    async with joined(Room()) as call:
        await call.room.set_attributes({"lk.agent.state": "listening"})
        assert call.room.attributes == {"lk.agent.state": "listening"}
        assert call.room.photograph() is None, "no camera is on"
