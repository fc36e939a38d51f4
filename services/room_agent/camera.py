"""The caller's camera: only its newest frame is kept, and made a small JPEG when asked for."""

import asyncio
import io
import logging

import numpy as np
from livekit import rtc
from PIL import Image

from services.room_agent.call_clock import call_us
from services.room_agent.livekit_media import is_person

log = logging.getLogger(__name__)

MAX_SIDE = 512
"""Pixels; vision-language models take 224 to 512."""
MAX_BYTES = 128 * 1024
STALE_US = 2_000_000
"""An older frame shows the past: the camera hangs, or the track was muted."""
_QUALITIES = (80, 50, 20)
"""Tried in turn; 512 pixels of noise fit with the last one."""
_UPRIGHT: dict[object, Image.Transpose] = {
    rtc.VideoRotation.VIDEO_ROTATION_90: Image.Transpose.ROTATE_270,
    rtc.VideoRotation.VIDEO_ROTATION_180: Image.Transpose.ROTATE_180,
    rtc.VideoRotation.VIDEO_ROTATION_270: Image.Transpose.ROTATE_90,
}
"""WebRTC counts the turns clockwise that make a frame upright, PIL counterclockwise."""


class CallerCamera:
    """At most one camera at a time: the one that was switched on last."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._sid = ""
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._muted: set[str] = set()
        """Tracks that are switched off: frames that were on their way are not looked at."""
        self._event: rtc.VideoFrameEvent | None = None
        self._came_us = 0

    def register(self, tasks: asyncio.TaskGroup) -> None:
        """Follow what the caller switches on and off; to be called before the room is joined."""

        def on_published(
            publication: rtc.RemoteTrackPublication, sender: rtc.RemoteParticipant
        ) -> None:
            if is_person(sender) and publication.source == rtc.TrackSource.SOURCE_CAMERA:
                publication.set_subscribed(True)

        def on_track(
            track: rtc.Track, publication: rtc.TrackPublication, sender: rtc.RemoteParticipant
        ) -> None:
            if is_person(sender) and publication.source == rtc.TrackSource.SOURCE_CAMERA:
                watching = tasks.create_task(self.watch(track, publication.sid), name="camera")
                self._watching[publication.sid] = watching

        def on_track_gone(
            _track: rtc.Track, publication: rtc.TrackPublication, _: rtc.RemoteParticipant
        ) -> None:
            if (watching := self._watching.pop(publication.sid, None)) is not None:
                watching.cancel()  # nothing else ends LiveKit's stream
            self._muted.discard(publication.sid)

        def on_mute(_: rtc.Participant, publication: rtc.TrackPublication) -> None:
            self._muted.add(publication.sid)
            self.shut(publication.sid)

        def on_unmute(_: rtc.Participant, publication: rtc.TrackPublication) -> None:
            self._muted.discard(publication.sid)

        self._room.on("track_published", on_published)
        self._room.on("track_subscribed", on_track)
        self._room.on("track_unsubscribed", on_track_gone)
        self._room.on("track_muted", on_mute)
        self._room.on("track_unmuted", on_unmute)

    def find(self) -> None:
        """Subscribe to a camera that was on before the room was joined."""
        for person in self._room.remote_participants.values():
            for publication in person.track_publications.values():
                if is_person(person) and publication.source == rtc.TrackSource.SOURCE_CAMERA:
                    publication.set_subscribed(True)

    async def watch(self, track: rtc.Track, sid: str) -> None:
        """Keep the newest frame of this track until it ends or another one is watched."""
        self._sid = sid
        stream = rtc.VideoStream.from_track(track=track, capacity=1)
        try:
            async for event in stream:
                if sid != self._sid:
                    return
                if sid not in self._muted:
                    self.take(event)
        finally:
            await stream.aclose()
            self.shut(sid)

    def take(self, event: rtc.VideoFrameEvent) -> None:
        """The newest frame."""
        self._event, self._came_us = event, call_us()

    def shut(self, sid: str) -> None:
        """This track is muted or gone: forget what it showed."""
        if sid == self._sid:
            self._event = None

    def photograph(self) -> np.ndarray | None:
        """The newest frame as a JPEG file's bytes (N,) uint8; None when there is no fresh one."""
        if self._event is None or call_us() - self._came_us > STALE_US:
            return None
        try:
            return small_jpeg(self._event)
        except Exception as error:  # noqa: BLE001 - a question is answered without its picture
            log.warning("no picture of the camera", extra={"reason": repr(error)})
            return None


def small_jpeg(event: rtc.VideoFrameEvent) -> np.ndarray:
    """A frame upright, at most MAX_SIDE wide and high, as a JPEG of at most MAX_BYTES."""
    frame = event.frame.convert(rtc.VideoBufferType.RGB24)
    image = Image.frombuffer("RGB", (frame.width, frame.height), bytes(frame.data))
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR, reducing_gap=1.5)
    if (turn := _UPRIGHT.get(event.rotation)) is not None:
        image = image.transpose(turn)
    for quality in _QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= MAX_BYTES:
            break
    return np.frombuffer(file.getvalue(), np.uint8)
