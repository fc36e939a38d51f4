"""A room participant that shows a mouth and makes sounds at known moments: the truth to measure by.

Picture: 256x256, textured, swaying as a head does; its mouth opens and closes only while it speaks.
Sound: noise bursts, a syllable each, in the rhythm of the mouth.
"""

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

SAMPLE_HZ = 24_000
FRAME_HZ = 25
FRAME_SAMPLES = SAMPLE_HZ // FRAME_HZ
SIDE = 256
SYLLABLE_S = 0.24
MOUTH_ROWS, MOUTH_COLUMNS = slice(138, 162), slice(100, 156)


@dataclass
class Script:
    """What to do when, in media seconds; `sound_late_ms` delays the sound against the picture."""

    speech: list[tuple[float, float]]
    stalls: list[tuple[float, float]] = field(default_factory=list)
    sound_late_ms: int = 0
    length_s: float = 30.0


class Double:
    """Publishes the script and remembers when each picture left."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.shown: list[tuple[float, float]] = []
        """When each picture left: (media seconds, wall-clock seconds)."""
        self._audio = rtc.AudioSource(SAMPLE_HZ, 1, queue_size_ms=40)
        self._video = rtc.VideoSource(SIDE, SIDE)
        self._noise = np.random.default_rng(3)
        self._face = _texture(self._noise)

    async def run(self, room: rtc.Room) -> None:
        """Publish both tracks, then play the script to its end."""
        await self._publish(room)
        sound = self._sound()
        for frame in range(round(self.script.length_s * FRAME_HZ)):
            delay_s = self._audio.queued_duration
            self._show_later(frame / FRAME_HZ, delay_s)
            pcm = sound[frame * FRAME_SAMPLES : (frame + 1) * FRAME_SAMPLES]
            await self._audio.capture_frame(rtc.AudioFrame(pcm.tobytes(), SAMPLE_HZ, 1, len(pcm)))

    def _show_later(self, media_s: float, delay_s: float) -> None:
        if any(start <= media_s < end for start, end in self.script.stalls):
            return
        i420 = self._picture(media_s)
        picture = rtc.VideoFrame(SIDE, SIDE, rtc.VideoBufferType.I420, i420)
        asyncio.get_running_loop().call_later(delay_s, self._show, media_s, picture)

    def _show(self, media_s: float, picture: rtc.VideoFrame) -> None:
        self._video.capture_frame(picture)
        self.shown.append((media_s, time.time()))

    def left_at_s(self, media_s: float) -> float:
        """When the first picture at or after this media time left, wall-clock seconds."""
        return next(at_s for shown_s, at_s in self.shown if shown_s >= media_s - 1e-6)

    async def _publish(self, room: rtc.Room) -> None:
        publish = room.local_participant.publish_track
        await publish(
            rtc.LocalAudioTrack.create_audio_track("voice", self._audio),
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_MICROPHONE, stream="av", dtx=False, red=False
            ),
        )
        await publish(
            rtc.LocalVideoTrack.create_video_track("face", self._video),
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA,
                stream="av",
                simulcast=False,
                video_codec=rtc.VideoCodec.VP8,
                video_encoding=rtc.VideoEncoding(max_bitrate=500_000, max_framerate=30),
            ),
        )

    def _openness(self, media_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how open the mouth is, 0-1: one bump a syllable while it speaks."""
        speaking = np.zeros(media_s.shape, bool)
        for start, end in self.script.speech:
            speaking |= (media_s >= start) & (media_s < end)
        # Uneven syllables, or a shift by one whole syllable would fit as well.
        loudness = 0.55 + 0.45 * np.sin(7.3 * np.abs(np.floor(media_s / SYLLABLE_S)) ** 1.5)
        bumps = np.abs(np.sin(np.pi * media_s / SYLLABLE_S))
        return np.asarray(speaking * loudness * bumps)

    def _sound(self) -> NDArray[np.int16]:
        count = round(self.script.length_s * SAMPLE_HZ)
        media_s = np.arange(count) / SAMPLE_HZ - self.script.sound_late_ms / 1e3
        noise = self._noise.standard_normal(count) * 6000
        return np.clip(noise * self._openness(media_s), -32000, 32000).astype(np.int16)

    def _picture(self, media_s: float) -> bytes:
        sway = np.sin(media_s * 1.3) * 5, np.sin(media_s * 0.9 + 1) * 3
        luma = _shifted(self._face, *sway)
        opening = float(self._openness(np.array([media_s]))[0])
        dark = _shifted(_mouth(opening), *sway)
        luma = luma * (1 - dark) + 25 * dark
        chroma = np.full(SIDE * SIDE // 2, 128, np.uint8)
        return luma.astype(np.uint8).tobytes() + chroma.tobytes()


def _texture(noise: np.random.Generator) -> NDArray[np.float64]:
    coarse = noise.uniform(90, 200, (SIDE // 8 + 1, SIDE // 8 + 1))
    at = np.arange(SIDE) / 8
    whole, part = at.astype(int), at % 1
    rows = coarse[whole] * (1 - part)[:, None] + coarse[whole + 1] * part[:, None]
    return np.asarray(rows[:, whole] * (1 - part) + rows[:, whole + 1] * part)


def _mouth(opening: float) -> NDArray[np.float64]:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    middle_row = (MOUTH_ROWS.start + MOUTH_ROWS.stop) / 2
    middle_column = (MOUTH_COLUMNS.start + MOUTH_COLUMNS.stop) / 2
    height = 1.0 + opening * (MOUTH_ROWS.stop - MOUTH_ROWS.start) / 2
    width = (MOUTH_COLUMNS.stop - MOUTH_COLUMNS.start) / 2
    away = ((rows - middle_row) / height) ** 2 + ((columns - middle_column) / width) ** 2
    return np.asarray(np.clip(1.5 - away, 0, 1))


def _shifted(picture: NDArray[np.float64], right: float, down: float) -> NDArray[np.float64]:
    """Return the picture moved by a fraction of pixels, bilinear, wrapping round."""
    x, y = int(np.floor(right)), int(np.floor(down))
    a, b = right - x, down - y
    base = np.roll(picture, (y, x), (0, 1))
    across = base * (1 - a) + np.roll(base, 1, 1) * a
    return across * (1 - b) + np.roll(across, 1, 0) * b
