"""A caller made of LiveKit's Python client: plays recorded questions, notes what arrives when."""

import asyncio
import io
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import soundfile
from livekit import rtc
from numpy.typing import NDArray

MICROPHONE_HZ = 48_000
BLOCK = MICROPHONE_HZ // 50
BLOCK_S = 0.01
TYPED_AGAIN_S = 1.5
BEEP_RMS = 2_000.0
FLASH_LUMA = 130.0
MOUTH_BOX = (0.55, 0.9, 0.3, 0.7)
"""Top, bottom, left, right of the lower face in the avatar's picture, as fractions of it."""


async def until(what: str, happened: Callable[[], object], timeout_s: float = 10) -> None:
    """Wait for something that these tests own no event of; fails when it does not come."""
    try:
        async with asyncio.timeout(timeout_s):
            while not happened():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {timeout_s} s: {what}")


@dataclass
class Caption:
    """One segment as a page shows it."""

    text: str = ""
    final: bool = False
    track: str = ""
    sender: str = ""


@dataclass
class Record:
    """What arrived, at moments of the monotonic clock in seconds, however late we looked at it."""

    frames: list[tuple[float, float]] = field(default_factory=list)
    """(moment, mean luma)"""
    mouth: list[tuple[float, float]] = field(default_factory=list)
    """(moment, mean change of the lower face since the frame before)"""
    sound: list[tuple[float, float]] = field(default_factory=list)
    """(moment at which it was taken, RMS of 10 ms); `heard` knows better when it played"""
    captions: dict[str, Caption] = field(default_factory=dict)
    states: list[tuple[float, str]] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    picture: rtc.VideoFrame | None = None
    """The newest frame, I420."""

    def beeps(self) -> list[float]:
        """When each beep began."""
        return _rises([(at, rms > BEEP_RMS) for at, rms in self.heard()])

    def flashes(self) -> list[float]:
        """When each flash began."""
        return _rises([(at, luma > FLASH_LUMA) for at, luma in self.frames])

    def sounded_after(self, moment: float) -> list[float]:
        """Moments after the given one at which there was sound."""
        return [at for at, rms in self.heard() if at > moment and rms > BEEP_RMS / 10]

    def heard(self) -> list[tuple[float, float]]:
        """`sound` with the moments at which it played.

        Blocks play one after the other; one that we took late was there by the time that the next
        ones tell.
        """
        if not self.sound:
            return []
        taken, rms = np.array(self.sound).T
        place = np.arange(len(taken)) * BLOCK_S
        played = np.minimum.accumulate((taken - place)[::-1])[::-1] + place
        return list(zip(played.tolist(), rms.tolist(), strict=True))


def _mouth(luma: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Every other pixel of the lower face, (rows, columns)."""
    height, width = luma.shape
    top, bottom, left, right = MOUTH_BOX
    rows = slice(round(top * height), round(bottom * height), 2)
    columns = slice(round(left * width), round(right * width), 2)
    return luma[rows, columns].astype(np.int16)


def _rises(series: list[tuple[float, bool]]) -> list[float]:
    rises, was = [], False
    for at, now in series:
        if now and not was:
            rises.append(at)
        was = now
    return rises


class Caller:
    """In the room from `join` on. The microphone sends silence unless it plays a clip."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.record = Record()
        self._microphone = rtc.AudioSource(MICROPHONE_HZ, 1, queue_size_ms=40)
        self._clip = np.zeros(0, np.int16)
        self._clip_end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.blocks_sent = 0
        self.microphone_sid = ""
        self._unread: dict[str, asyncio.Event] = {}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def start(self, said_before: bytes | None = None) -> None:
        """Publish the microphone. `said_before` is a WAV from before anybody could hear it."""
        track = rtc.LocalAudioTrack.create_audio_track("mic", self._microphone)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_MICROPHONE, preconnect_buffer=said_before is not None
        )
        publication = await self.room.local_participant.publish_track(track, options)
        self.microphone_sid = publication.sid
        self._publication = publication
        if said_before is not None:
            await self._send_recording(said_before)
        self._spawn(self._speak())

    async def _send_recording(self, wav: bytes) -> None:
        """As browsers do: once the avatar can receive it."""
        people = self.room.remote_participants
        active = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        while not any(person.state == active for person in people.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        samples, _ = soundfile.read(io.BytesIO(wav), dtype="int16")
        writer = await self.room.local_participant.stream_bytes(
            "preconnect-buffer",
            topic="lk.agent.pre-connect-audio-buffer",
            mime_type="audio/raw",
            attributes={
                "trackId": self.microphone_sid,
                "sampleRate": str(MICROPHONE_HZ),
                "channels": "1",
            },
        )
        await writer.write(samples.tobytes())
        await writer.aclose()

    async def heard(self) -> None:
        """Returns when the avatar takes the microphone's sound."""
        await self._publication.wait_for_subscription()

    async def say(self, wav: bytes) -> float:
        """Play a WAV; returns the moment at which its last sample left."""
        samples, _ = soundfile.read(io.BytesIO(wav), dtype="int16")
        self._clip_end.clear()
        self._clip = samples
        await self._clip_end.wait()
        return time.monotonic()

    async def type(self, text: str) -> asyncio.Event:
        """Type as the page does: sent once when this returns, and again until it has been read.

        The event tells that it has.
        """
        name = uuid.uuid4().hex
        read = self._unread[name] = asyncio.Event()
        await self._send(text, name)
        self._spawn(self._repeat(text, name))
        return read

    async def _send(self, text: str, name: str) -> None:
        with suppress(rtc.StreamError):
            await self.room.local_participant.send_text(
                text, topic="lk.chat", attributes={"xs.id": name}
            )

    async def _repeat(self, text: str, name: str) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._unread[name].wait(), TYPED_AGAIN_S)
                return
            await self._send(text, name)

    async def _speak(self) -> None:
        while True:
            block, self._clip = self._clip[:BLOCK], self._clip[BLOCK:]
            padded = np.zeros(BLOCK, np.int16)
            padded[: len(block)] = block
            frame = rtc.AudioFrame(padded.tobytes(), MICROPHONE_HZ, 1, BLOCK)
            await self._microphone.capture_frame(frame)
            self.blocks_sent += 1
            if not len(self._clip):
                self._clip_end.set()

    def on_track(self, track: rtc.Track) -> None:
        """Record what the avatar sends."""
        watch = self._hear if track.kind == rtc.TrackKind.KIND_AUDIO else self._see
        self._spawn(watch(track))

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=24_000, num_channels=1, frame_size_ms=10
        )
        async for event in stream:
            pcm = np.frombuffer(event.frame.data, np.int16).astype(np.float64)
            self.record.sound.append((time.monotonic(), float(np.sqrt((pcm**2).mean()))))

    async def _see(self, track: rtc.Track) -> None:
        stream = rtc.VideoStream.from_track(track=track, format=rtc.VideoBufferType.I420)
        before: NDArray[np.int16] | None = None
        async for event in stream:
            height, width = event.frame.height, event.frame.width
            luma = np.frombuffer(event.frame.data, np.uint8)[: height * width]
            shown = event.timestamp_us / 1e6
            self.record.picture = event.frame
            self.record.frames.append((shown, float(luma.mean())))
            mouth = _mouth(luma.reshape(height, width))
            if before is not None and before.shape == mouth.shape:
                change = float(np.abs(mouth - before).mean())
                self.record.mouth.append((shown, change))
            before = mouth

    def on_caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        """A segment begins, or is replaced."""
        self._spawn(self._read_caption(reader, identity))

    async def _read_caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        attributes = reader.info.attributes or {}
        caption = Caption(track=attributes["lk.transcribed_track_id"], sender=identity)
        self.record.captions[attributes["lk.segment_id"]] = caption
        async for part in reader:
            caption.text += part
        final = (reader.info.attributes or {})["lk.transcription_final"]
        caption.final = final == "true"

    def on_data(self, packet: rtc.DataPacket) -> None:
        """Timings of a turn, or that what was typed has been read."""
        if packet.topic == "xs.turn":
            self.record.turns.append(json.loads(packet.data))
        elif packet.topic == "xs.read":
            self._unread[json.loads(packet.data)["id"]].set()

    def on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        """The avatar's state."""
        if "lk.agent.state" in changed:
            self.record.states.append((time.monotonic(), changed["lk.agent.state"]))

    def attribute(self, name: str) -> str:
        """An attribute of the avatar."""
        avatars = list(self.room.remote_participants.values())
        return avatars[0].attributes.get(name, "") if avatars else ""

    async def leave(self) -> None:
        """Hang up."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()


@asynccontextmanager
async def call(url: str, token: str, said_before: bytes | None = None) -> AsyncIterator[Caller]:
    """Join a room with a microphone; hang up at the end."""
    room = rtc.Room()
    caller = Caller(room)
    room.on("track_subscribed", lambda track, *_: caller.on_track(track))
    room.on("data_received", caller.on_data)
    room.on("participant_attributes_changed", caller.on_attributes)
    room.register_text_stream_handler("lk.transcription", caller.on_caption)
    await room.connect(url, token)
    await caller.start(said_before)
    try:
        yield caller
    finally:
        await caller.leave()
