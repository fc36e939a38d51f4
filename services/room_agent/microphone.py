"""The caller's microphone: a recording from before it was heard, then its track, live."""

import asyncio
import logging
from contextlib import suppress

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from proto.time_law import HEARING_BLOCK_SAMPLES, HEARING_HZ
from services.room_agent.call_room import RoomEvents
from services.room_agent.livekit_media import STATISTICS_EVERY_S, is_person
from services.room_agent.preconnect import PreconnectBuffer

log = logging.getLogger(__name__)

HEARING_QUEUE_FRAMES = 400
"""8 s of the caller's audio; older audio is dropped. LiveKit's default is unbounded."""
HEARING_BLOCK_US = HEARING_BLOCK_SAMPLES * 1_000_000 // HEARING_HZ
BREATH_BLOCKS = 16
"""So much of a recording is heard at once: in between, what was heard is sent on."""
FIRST_SOUND_S = 1.0
"""So long the track's beginning is waited for, to find where the recording goes on in it."""


class CallerMicrophone:
    """Hears the newest track; a connection made anew brings it again."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._preconnect = PreconnectBuffer(room)
        self._listening: dict[str, asyncio.Task[None]] = {}
        self.sid = ""
        self.speaker = ""
        """Identity of the caller whose track it is."""
        self.heard_before: set[str] = set()
        """Tracks whose recordings another agent has heard."""
        self.jitter_us = 0
        """How long the caller's sound waits in WebRTC's jitter buffer."""

    def register(self, events: RoomEvents, tasks: asyncio.TaskGroup) -> None:
        """Listen from the first track on; to be called before the room is joined."""
        self._preconnect.register(tasks)

        def on_track(
            track: rtc.Track, publication: rtc.TrackPublication, sender: rtc.RemoteParticipant
        ) -> None:
            if is_person(sender) and track.kind == rtc.TrackKind.KIND_AUDIO:
                self.sid, self.speaker = publication.sid, sender.identity
                self._stop_listening(publication.sid)
                self._listening[publication.sid] = tasks.create_task(
                    self._listen(track, publication, events), name="listen"
                )

        def on_track_gone(
            _track: rtc.Track, publication: rtc.TrackPublication, _: rtc.RemoteParticipant
        ) -> None:
            self._stop_listening(publication.sid)

        self._room.on("track_subscribed", on_track)
        self._room.on("track_unsubscribed", on_track_gone)

    def _stop_listening(self, sid: str) -> None:
        """Nothing ends a stream of LiveKit's but its reader."""
        if (task := self._listening.pop(sid, None)) is not None:
            task.cancel()

    async def _listen(
        self, track: rtc.Track, publication: rtc.TrackPublication, events: RoomEvents
    ) -> None:
        stream = rtc.AudioStream.from_track(
            track=track,
            capacity=HEARING_QUEUE_FRAMES,
            sample_rate=HEARING_HZ,
            num_channels=1,
            frame_size_ms=1000 * HEARING_BLOCK_SAMPLES // HEARING_HZ,
        )
        since_s = asyncio.get_running_loop().time()
        watch = asyncio.create_task(self._watch_jitter(track), name="jitter")
        try:
            await events.listens()
            blocks = await self._first_blocks(stream, publication, since_s)
            for number, block in enumerate(blocks):
                events.hear(block, behind_us=(len(blocks) - number) * HEARING_BLOCK_US)
                if number % BREATH_BLOCKS == 0:
                    await asyncio.sleep(0)
            async for event in stream:
                if publication.sid != self.sid:
                    return
                events.hear(_pcm(event))
        finally:
            watch.cancel()
            await stream.aclose()

    async def _first_blocks(
        self, stream: rtc.AudioStream, publication: rtc.TrackPublication, since_s: float
    ) -> list[NDArray[np.int16]]:
        """What was recorded before the track, and the track's beginning, as blocks of (320,)."""
        if publication.sid in self.heard_before:
            return []
        recorded = await self._preconnect.recorded(publication, since_s)
        if not recorded:
            return []
        live = list[NDArray[np.int16]]()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SOUND_S):
                async for event in stream:
                    live.append(_pcm(event))
                    if len(live) * HEARING_BLOCK_SAMPLES >= recorded.wanted_samples:
                        break
        begin = np.concatenate([*live, np.zeros(0, np.int16)])
        pcm = await asyncio.to_thread(recorded.then, begin)
        # What is left over is the oldest: the track goes on without a gap.
        return list(pcm[len(pcm) % HEARING_BLOCK_SAMPLES :].reshape(-1, HEARING_BLOCK_SAMPLES))

    async def _watch_jitter(self, track: rtc.Track) -> None:
        """Read the mean wait since the last reading, until cancelled."""
        waited_s, samples = 0.0, 0
        while True:
            try:
                entries = await track.get_stats()
            except Exception as error:  # noqa: BLE001 - all that the library raises for "no stats"
                log.info("no statistics of the caller's sound", extra={"reason": str(error)})
                return
            for entry in entries:
                if entry.WhichOneof("stats") != "inbound_rtp":
                    continue
                found = entry.inbound_rtp.inbound
                fresh = found.jitter_buffer_emitted_count - samples
                if fresh > 0:
                    self.jitter_us = round((found.jitter_buffer_delay - waited_s) / fresh * 1e6)
                waited_s, samples = found.jitter_buffer_delay, found.jitter_buffer_emitted_count
            await asyncio.sleep(STATISTICS_EVERY_S)


def _pcm(event: rtc.AudioFrameEvent) -> NDArray[np.int16]:
    return np.frombuffer(event.frame.data, np.int16)
