"""What the caller said before the agent could hear: LiveKit's pre-connect audio buffer.

Browsers record from the click on and send the recording as a byte stream when the agent is there.
"""

import asyncio
import logging
from collections import deque

import numpy as np
from livekit import rtc
from livekit.agents.utils.codecs import AudioStreamDecoder
from livekit.protocol.models import TF_PRECONNECT_BUFFER

from proto.time_law import HEARING_BLOCK_SAMPLES, HEARING_HZ
from services.room_agent.incoming import IncomingStreams, parts_up_to

log = logging.getLogger(__name__)

TOPIC = "lk.agent.pre-connect-audio-buffer"
RAW = "audio/raw"
WAIT_S = 3.0
"""As LiveKit's agents wait. A busy browser sends the recording more than a second after its track;
until then, or for so long if it never comes, the live track waits in its queue."""
MAX_SECONDS = 10
MAX_BYTES = MAX_SECONDS * 48_000 * 2
MAX_RECORDINGS = 4
"""A call has one microphone; a client may name tracks that are none."""


class PreconnectBuffer:
    """Recordings by the track they belong to."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._recordings: dict[str, asyncio.Future[np.ndarray]] = {}
        self._taken: set[str] = set()

    def register(self, tasks: asyncio.TaskGroup) -> None:
        """Listen for recordings; to be called before the room is joined."""

        streams = IncomingStreams(tasks, "preconnect-audio")

        def on_stream(reader: rtc.ByteStreamReader, identity: str) -> None:
            streams.take(reader, lambda: self._receive(reader))

        self._room.register_byte_stream_handler(TOPIC, on_stream)

    async def blocks(self, publication: rtc.TrackPublication) -> list[np.ndarray]:
        """The recording that goes before this track, as blocks of (320,) s16."""
        if int(TF_PRECONNECT_BUFFER) not in map(int, publication.audio_features):
            return []
        if publication.sid in self._taken:
            return []  # a connection made anew subscribes again
        try:
            async with asyncio.timeout(WAIT_S):
                pcm = await asyncio.shield(self._recording(publication.sid))
        except TimeoutError:
            log.info("no pre-connect audio came", extra={"track": publication.sid})
            pcm = np.zeros(0, np.int16)
        self._taken.add(publication.sid)
        self._recordings.pop(publication.sid, None)
        whole = len(pcm) // HEARING_BLOCK_SAMPLES * HEARING_BLOCK_SAMPLES
        if whole:
            log.info("pre-connect audio", extra={"seconds": whole / HEARING_HZ})
        return list(pcm[:whole].reshape(-1, HEARING_BLOCK_SAMPLES))

    def _recording(self, track_sid: str) -> asyncio.Future[np.ndarray]:
        if track_sid not in self._recordings:
            while len(self._recordings) >= MAX_RECORDINGS:
                self._recordings.pop(next(iter(self._recordings)))
            self._recordings[track_sid] = asyncio.get_running_loop().create_future()
        return self._recordings[track_sid]

    async def _receive(self, reader: rtc.ByteStreamReader) -> None:
        attributes = reader.info.attributes or {}
        try:
            encoded = await _read_bounded(reader)
            if reader.info.mime_type == RAW:
                pcm = _resample(
                    encoded,
                    int(attributes.get("sampleRate", "48000")),
                    int(attributes.get("channels", "1")),
                )
            else:
                pcm = await _decode(encoded)
        except Exception as error:  # noqa: BLE001 - decoders raise what they like; nobody waits then
            log.warning("pre-connect audio unusable", extra={"reason": repr(error)})
            pcm = np.zeros(0, np.int16)
        recording = self._recording(attributes.get("trackId", ""))
        if not recording.done():
            recording.set_result(pcm[-MAX_SECONDS * HEARING_HZ :])


async def _read_bounded(reader: rtc.ByteStreamReader) -> bytes:
    """All bytes of the stream. Raises ValueError past MAX_BYTES."""
    encoded = b"".join(await parts_up_to(reader, MAX_BYTES))
    if len(encoded) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return encoded


async def _decode(encoded: bytes) -> np.ndarray:
    """Opus in WebM or Ogg, or Safari's MP4, to (N,) s16 at 16 kHz."""
    decoder = AudioStreamDecoder(sample_rate=HEARING_HZ, num_channels=1)
    try:
        decoder.push(encoded)
        decoder.end_input()
        # Opus of silence is a thousandth of its samples: only the newest are kept while decoding.
        frames: deque[np.ndarray] = deque()
        samples = 0
        async for frame in decoder:
            frames.append(np.frombuffer(frame.data, np.int16))
            samples += len(frames[-1])
            while samples - len(frames[0]) > MAX_SECONDS * HEARING_HZ:
                samples -= len(frames.popleft())
    finally:
        await decoder.aclose()
    return np.concatenate(frames) if frames else np.zeros(0, np.int16)


def _resample(encoded: bytes, rate_hz: int, channels: int) -> np.ndarray:
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
