"""What the caller said before the agent could hear: LiveKit's pre-connect audio buffer.

Browsers record from the click on and send the recording as a byte stream when the agent is there,
until they learn that the track is heard, or ten seconds are over.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import Final

import numpy as np
from livekit import rtc
from livekit.agents.utils.codecs import AudioStreamDecoder
from livekit.protocol.models import TF_PRECONNECT_BUFFER
from numpy.typing import NDArray

from proto.time_law import HEARING_HZ
from services.room_agent.incoming import IncomingStreams
from services.room_agent.splice import Recorded

log = logging.getLogger(__name__)

TOPIC = "lk.agent.pre-connect-audio-buffer"
RAW = "audio/raw"
NOTHING: Final = Recorded(np.zeros(0, np.int16))
WAIT_S = 3.0
"""As LiveKit's agents wait. A busy browser sends the recording more than a second after its track;
until then, or for so long if it never comes, the live track waits in its queue."""
OVERLAP_S = 0.8
"""A recording that does not end is waited for until the live track has so much of it too."""
MAX_SECONDS = 10
MAX_BYTES = MAX_SECONDS * 48_000 * 2
MAX_RECORDINGS = 4
"""A call has one microphone; a client may name tracks that are none."""


class PreconnectBuffer:
    """Recordings by the track they belong to."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._recordings: dict[str, Recording] = {}
        self._taken: set[str] = set()

    def register(self, tasks: asyncio.TaskGroup) -> None:
        """Listen for recordings; to be called before the room is joined."""

        streams = IncomingStreams(tasks, "preconnect-audio")

        def on_stream(reader: rtc.ByteStreamReader, identity: str) -> None:
            streams.take(reader, lambda: self._receive(reader))

        self._room.register_byte_stream_handler(TOPIC, on_stream)

    async def recorded(self, publication: rtc.TrackPublication, since_s: float) -> Recorded:
        """What goes before this track, which is heard since a moment of the event loop's clock."""
        sid = publication.sid
        if int(TF_PRECONNECT_BUFFER) not in map(int, publication.audio_features):
            return NOTHING
        if sid in self._taken:
            return NOTHING  # a connection made anew subscribes again
        recording = self._recording(sid)
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await recording.enough(since_s)
        self._taken.add(sid)
        self._recordings.pop(sid, None)
        recorded = await recording.take(since_s)
        if recorded:
            seconds = len(recorded.pcm) / HEARING_HZ
            log.info("pre-connect audio", extra={"seconds": seconds, "ended": recorded.ended})
        else:
            log.info("no pre-connect audio came", extra={"track": sid})
        return recorded

    def _recording(self, track_sid: str) -> "Recording":
        if track_sid not in self._recordings:
            while len(self._recordings) >= MAX_RECORDINGS:
                self._recordings.pop(next(iter(self._recordings)))
            self._recordings[track_sid] = Recording()
        return self._recordings[track_sid]

    async def _receive(self, reader: rtc.ByteStreamReader) -> None:
        track_sid = (reader.info.attributes or {}).get("trackId", "")
        if track_sid not in self._taken:
            await self._recording(track_sid).receive(reader)


class Recording:
    """One track's, as far as it has come: browsers may send while they still record."""

    def __init__(self) -> None:
        self._info: rtc.ByteStreamInfo | None = None
        self._encoded = bytearray()
        self._began_s = self._newest_s = 0.0
        self._ended = self._taken = False
        self._more = asyncio.Event()

    async def receive(self, reader: rtc.ByteStreamReader) -> None:
        """Keep what comes until it is taken, or is too much to be believed."""
        if self._info is not None:
            return
        self._info = reader.info
        self._began_s = asyncio.get_running_loop().time()
        try:
            async for part in reader:
                self._encoded += part
                self._newest_s = asyncio.get_running_loop().time()
                if len(self._encoded) > MAX_BYTES:
                    log.warning("pre-connect audio unusable", extra={"reason": "too many bytes"})
                    self._encoded.clear()
                    break
                self._more.set()
                if self._taken:
                    return
        except rtc.StreamError as error:
            log.warning("pre-connect audio broke off", extra={"reason": repr(error)})
        self._ended = True
        self._more.set()

    async def enough(self, since_s: float) -> None:
        """Returns when it has come to its end, or well past the moment given."""
        while not self._ended and self._newest_s - max(since_s, self._began_s) < OVERLAP_S:
            self._more.clear()
            await self._more.wait()

    async def take(self, since_s: float) -> Recorded:
        """What has come, of which nothing is kept."""
        self._taken = True
        heard_s = max(0.0, self._newest_s - since_s)
        return Recorded(await self._pcm(), round(heard_s * HEARING_HZ), self._ended)

    async def _pcm(self) -> NDArray[np.int16]:
        if self._info is None or not self._encoded:
            return NOTHING.pcm
        encoded, attributes = bytes(self._encoded), self._info.attributes or {}
        self._encoded.clear()
        try:
            if self._info.mime_type != RAW:
                async with asyncio.timeout(WAIT_S):
                    return await _decode(encoded)
            rate_hz = int(attributes.get("sampleRate", "48000"))
            channels = int(attributes.get("channels", "1"))
            return _resample(encoded, rate_hz, channels)[-MAX_SECONDS * HEARING_HZ :]
        except Exception as error:  # noqa: BLE001 - decoders raise what they like
            log.warning("pre-connect audio unusable", extra={"reason": repr(error)})
            return NOTHING.pcm


async def _decode(encoded: bytes) -> NDArray[np.int16]:
    """Opus in WebM or Ogg, or Safari's MP4, to (N,) s16 at 16 kHz."""
    decoder = AudioStreamDecoder(sample_rate=HEARING_HZ, num_channels=1)
    try:
        decoder.push(encoded)
        decoder.end_input()
        # Opus of silence is a thousandth of its samples: only the newest are kept while decoding.
        frames: deque[NDArray[np.int16]] = deque()
        samples = 0
        async for frame in decoder:
            frames.append(np.frombuffer(frame.data, np.int16))
            samples += len(frames[-1])
            while samples - len(frames[0]) > MAX_SECONDS * HEARING_HZ:
                samples -= len(frames.popleft())
    finally:
        await decoder.aclose()
    return np.concatenate(frames) if frames else np.zeros(0, np.int16)


def _resample(encoded: bytes, rate_hz: int, channels: int) -> NDArray[np.int16]:
    """Raw s16 to (N,) s16 at 16 kHz. Raises ValueError for what is no audio."""
    if not (8_000 <= rate_hz <= 48_000 and channels in (1, 2)):
        raise ValueError(f"{rate_hz} Hz, {channels} channels")
    usable = len(encoded) // (2 * channels) * 2 * channels
    mono = np.frombuffer(encoded[:usable], np.int16).reshape(-1, channels).mean(axis=1)
    resampler = rtc.AudioResampler(rate_hz, HEARING_HZ)
    pcm = mono.astype(np.int16)
    frames = resampler.push(rtc.AudioFrame(pcm.tobytes(), rate_hz, 1, len(pcm)))
    parts = [np.frombuffer(frame.data, np.int16) for frame in [*frames, *resampler.flush()]]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)
