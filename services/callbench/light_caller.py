"""A caller without a browser: speaks recorded questions and hears; it does not take the picture."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import soundfile
from livekit import rtc

from services.callbench.gateway_client import gateway_at
from services.callbench.questions import MICROPHONE_HZ, clip
from services.callbench.waveform import VOICED_RMS

BLOCK = MICROPHONE_HZ // 50
NOISE = 6
"""s16: the noise of a very quiet room."""
HEARING_HZ = 24_000


class LightCaller:
    """One participant with a microphone."""

    def __init__(self, room: rtc.Room, name: str) -> None:
        self.room_name = name
        self._room = room
        self._microphone = rtc.AudioSource(MICROPHONE_HZ, 1, queue_size_ms=40)
        self._clip = np.zeros(0, np.int16)
        self._voiced_s = 0.0

    async def run(self) -> None:
        """Speak and hear until cancelled."""
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._microphone)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(), name="speak")
            tasks.create_task(self._hear(), name="hear")

    def say(self, question_id: str) -> float:
        """Speak a question now; returns when its voice will end, on the loop's clock."""
        spoken = clip(question_id)
        samples, _ = soundfile.read(io.BytesIO(spoken.wav), dtype="int16")
        self._clip = samples
        return _now_s() + spoken.voice_end_s

    async def answered(self, after_s: float, timeout_s: float) -> float | None:
        """Seconds from a moment until a voice sounded; None: not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._voiced_s <= after_s:  # noqa: ASYNC110 - 20 ms of sound at a time
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return None
        return self._voiced_s - after_s

    async def quiet(self, seconds: float) -> None:
        """Return when nothing was heard for so long."""
        while _now_s() - self._voiced_s < seconds:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _speak(self) -> None:
        noise = np.random.default_rng(0)
        while True:
            block, self._clip = self._clip[:BLOCK], self._clip[BLOCK:]
            pcm = noise.integers(-NOISE, NOISE + 1, BLOCK).astype(np.int16)
            pcm[: len(block)] += block
            await self._microphone.capture_frame(
                rtc.AudioFrame(pcm.tobytes(), MICROPHONE_HZ, 1, BLOCK)
            )

    async def _hear(self) -> None:
        stream = rtc.AudioStream.from_track(
            track=await self._voice_track(),
            capacity=50,
            sample_rate=HEARING_HZ,
            num_channels=1,
            frame_size_ms=20,
        )
        async for event in stream:
            pcm = np.frombuffer(event.frame.data, np.int16).astype(np.float32) / 32768
            if float(np.sqrt(np.mean(pcm**2))) > VOICED_RMS:
                self._voiced_s = _now_s()

    async def _voice_track(self) -> rtc.Track:
        """Subscribe to the avatar's voice, and to nothing else."""
        while True:
            for participant in self._room.remote_participants.values():
                for publication in participant.track_publications.values():
                    if publication.kind != rtc.TrackKind.KIND_AUDIO:
                        continue
                    publication.set_subscribed(True)
                    if publication.track is not None:
                        return publication.track
            await asyncio.sleep(0.05)


@asynccontextmanager
async def light_caller(url: str, avatar: str) -> AsyncIterator[LightCaller]:
    """Create a call by REST and join it; hang up at the end."""
    async with gateway_at(url) as gateway:
        created = (await gateway.post("/api/rooms", json={"avatar_id": avatar})).raise_for_status()
        call = created.json()
        room = rtc.Room()
        await room.connect(
            call["livekit_url"], call["token"], rtc.RoomOptions(auto_subscribe=False)
        )
        caller = LightCaller(room, call["room"])
        running = asyncio.create_task(caller.run(), name="light caller")
        try:
            yield caller
        finally:
            running.cancel()
            await asyncio.wait([running])
            await room.disconnect()
            await gateway.delete(f"/api/rooms/{call['room']}")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
