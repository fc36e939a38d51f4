"""A LiveKit room as a CallRoom."""

import asyncio
import logging
from collections.abc import Callable, Collection

import numpy as np
from livekit import rtc
from livekit.agents import AutoSubscribe, JobContext
from livekit.rtc.participant import PublishDataError

from services.room_agent.call_clock import call_us
from services.room_agent.call_room import RoomEvents
from services.room_agent.camera import CallerCamera
from services.room_agent.incoming import IncomingStreams
from services.room_agent.livekit_caption import LiveKitCaption
from services.room_agent.livekit_media import (
    STATISTICS_EVERY_S,
    LiveKitAudio,
    LiveKitVideo,
    is_person,
    publish,
    sent_frames,
)
from services.room_agent.microphone import CallerMicrophone
from services.room_agent.typed_words import CHAT_TOPIC, read_typed
from services.room_agent.witness import PAGE_TOPICS

log = logging.getLogger(__name__)

CAPTION_TOPIC = "lk.transcription"

Declaration = Callable[[str, str, Collection[str]], str]
"""Room, identity and tracks, signed as synthetic."""


class LiveKitRoom:
    """The room of one job."""

    def __init__(
        self,
        job: JobContext,
        queue_ms: int,
        declare: Declaration | None,
        *,
        took_over: bool = False,
    ) -> None:
        """`took_over`: another agent has heard the recordings of the tracks that are there."""
        self._job = job
        self._room = job.room
        self._declare = declare
        self._voice_sid = ""
        self._sent_fps: float | None = None
        self._took_over = took_over
        self._microphone = CallerMicrophone(job.room)
        self._camera = CallerCamera(job.room)
        self.audio = LiveKitAudio(queue_ms)
        self.video = LiveKitVideo()

    async def join(self, events: RoomEvents, tasks: asyncio.TaskGroup) -> None:
        """Connect and publish. Handlers come first: what is sent to us at once must not be lost."""
        self._microphone.register(events, tasks)
        self._camera.register(tasks)
        self._register(events, tasks)
        await self._job.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
        events.told(self._room.metadata)
        if self._took_over:
            people = self._room.remote_participants.values()
            self._microphone.heard_before = {
                sid for person in people for sid in person.track_publications
            }
        face = await publish(self._room.local_participant, self.audio, self.video)
        tasks.create_task(self._watch_sending(face), name="sending")
        self._declare_tracks(events)
        self._camera.find()
        if any(map(is_person, self._room.remote_participants.values())):
            events.caller_came()

    def _declare_tracks(self, events: RoomEvents) -> None:
        """Captions name the voice's track, the signed statement both; a reconnect renames them."""
        me = self._room.local_participant
        sids = {publication.kind: sid for sid, publication in me.track_publications.items()}
        self._voice_sid = sids[rtc.TrackKind.KIND_AUDIO]
        if self._declare is not None:
            events.declared(self._declare(self._room.name, me.identity, sorted(sids.values())))

    def _register(self, events: RoomEvents, tasks: asyncio.TaskGroup) -> None:
        room = self._room

        def on_join(participant: rtc.RemoteParticipant) -> None:
            if is_person(participant):
                events.caller_came()

        def on_leave(participant: rtc.RemoteParticipant) -> None:
            if not any(map(is_person, room.remote_participants.values())):
                events.caller_left()

        def on_republish(*_: object) -> None:
            self._declare_tracks(events)

        def on_disconnect(reason: rtc.DisconnectReason.ValueType) -> None:
            events.room_closed(rtc.DisconnectReason.Name(reason))

        def on_data(packet: rtc.DataPacket) -> None:
            sender = packet.participant
            if sender is not None and is_person(sender) and packet.topic in PAGE_TOPICS:
                events.page_said(str(packet.topic), packet.data)

        chat = IncomingStreams(tasks, "read-chat")

        def on_chat(reader: rtc.TextStreamReader, identity: str) -> None:
            chat.take(reader, lambda: read_typed(reader, events.read, self.tell_page))

        room.on("participant_connected", on_join)
        room.on("participant_disconnected", on_leave)
        room.on("room_metadata_changed", lambda _, metadata: events.told(metadata))
        room.on("local_track_republished", on_republish)
        room.on("reconnected", events.reconnected)
        room.on("disconnected", on_disconnect)
        room.on("data_received", on_data)
        room.register_text_stream_handler(CHAT_TOPIC, on_chat)

    @property
    def jitter_us(self) -> int:
        """How long the caller's sound waits in WebRTC's jitter buffer."""
        return self._microphone.jitter_us

    @property
    def sent_fps(self) -> float | None:
        """Frames a second that WebRTC encoded and sent, of the whole call up to now."""
        return self._sent_fps

    async def _watch_sending(self, track: rtc.LocalVideoTrack) -> None:
        """Read how many frames were sent since the first reading, until cancelled."""
        first_us = seen = sent = 0
        while True:
            try:
                entries = await track.get_stats()
            except Exception as error:  # noqa: BLE001 - all that the library raises for "no stats"
                log.info("no statistics of the picture", extra={"reason": str(error)})
                return
            now_us, frames = call_us(), sent_frames(entries)
            if first_us and now_us > first_us:
                sent += frames - (seen if frames >= seen else 0)  # a new connection counts anew
                self._sent_fps = 1e6 * sent / (now_us - first_us)
            elif frames:
                first_us = now_us
            seen = frames
            await asyncio.sleep(STATISTICS_EVERY_S)

    @property
    def identity(self) -> str:
        """The avatar's, once it has joined."""
        return self._room.local_participant.identity

    def photograph(self) -> np.ndarray | None:
        """What the caller's camera shows now; None while it is off."""
        return self._camera.photograph()

    @property
    def attributes(self) -> dict[str, str]:
        """Those of the avatar's participant, as LiveKit has them."""
        return self._room.local_participant.attributes

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        """Set attributes of the avatar's participant."""
        await self._room.local_participant.set_attributes(attributes)

    async def tell_page(self, topic: str, message: str) -> None:
        """Send a message to the caller's page."""
        try:
            await self._room.local_participant.publish_data(message, topic=topic)
        except PublishDataError as error:
            log.warning("message lost", extra={"topic": topic, "reason": str(error)})

    async def open_caption(self, segment_id: str) -> LiveKitCaption:
        """Begin a segment of the avatar's words."""
        writer = await self._room.local_participant.stream_text(
            topic=CAPTION_TOPIC, attributes=self._caption(segment_id, self._voice_sid, False)
        )
        return LiveKitCaption(writer)

    async def show_user_caption(self, segment_id: str, text: str, final: bool) -> None:
        """Show what the caller has said so far; the segment id replaces the state before."""
        writer = await self._room.local_participant.stream_text(
            topic=CAPTION_TOPIC,
            attributes=self._caption(segment_id, self._microphone.sid, final),
            sender_identity=self._microphone.speaker or None,
        )
        await writer.write(text)
        await writer.aclose()

    def _caption(self, segment_id: str, track_sid: str, final: bool) -> dict[str, str]:
        return {
            "lk.segment_id": segment_id,
            "lk.transcribed_track_id": track_sid,
            "lk.transcription_final": str(final).lower(),
        }
