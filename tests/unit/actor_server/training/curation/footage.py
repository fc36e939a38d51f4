"""Generated footage: red discs with eyes and a blue mouth for people, tones for voices.

Every shot has one fault at most, drawn or sounded, so that judges which look and listen find it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

RATE = 25
SOUND_HZ = 16_000
HEIGHT, WIDTH = 120, 160
RED, BLUE, BLACK, WHITE = (200, 30, 30), (30, 30, 230), (0, 0, 0), (255, 255, 255)
ENGLISH_HZ, CHINESE_HZ, FRENCH_HZ = 250, 400, 600
HUM_HZ, HUM = 50, 0.2


@dataclass(frozen=True)
class Shot:
    """Some seconds of a camera. tint: 0 to 2, of the background; begins: silent until then."""

    seconds: float
    tint: int = 0
    in_sync: bool = True
    people: int = 1
    turned_away: bool = False
    blurred: bool = False
    caption: str = ""
    voice_hz: int = ENGLISH_HZ
    begins_s: float = 0.0

    def loudness(self, at_s: np.ndarray) -> np.ndarray:
        """Of the voice, 0 to 1: syllables of irregular length."""
        wave = np.sin(2 * np.pi * 1.7 * at_s) + np.sin(2 * np.pi * 2.9 * at_s + 1)
        return np.where(at_s < self.begins_s, 0, (0.25 * wave + 0.5).clip(0, 1))

    def picture(self, at_s: float) -> np.ndarray:
        """(120, 160, 3), RGB."""
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        picture[..., 1] += ((rows // 4 + columns // 4) % 2 * 100).astype(np.uint8)
        picture[..., self.tint] //= 2
        picture[..., (self.tint + 1) % 3] += 60
        open_ = float(self.loudness(np.array(at_s if self.in_sync else 1.37 * at_s + 0.4)))
        for person in range(self.people):
            x = WIDTH * (person + 1) // (self.people + 1) + int(3 * np.sin(2 * at_s))
            cv2.circle(picture, (x, 60), 22, RED, -1)
            if not (self.turned_away and at_s > self.seconds / 2):
                for eye in (-8, 8):
                    cv2.circle(picture, (x + eye, 53), 5, BLACK, -1)
            cv2.rectangle(picture, (x - 8, 65), (x + 8, 65 + int(12 * open_)), BLUE, -1)
        if self.caption:
            cv2.putText(picture, self.caption, (5, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, WHITE, 2)
        return cv2.GaussianBlur(picture, (0, 0), 2.5) if self.blurred else picture

    def sound(self) -> np.ndarray:
        """(S,), -1..1: the voice, and hum."""
        at_s = np.arange(round(self.seconds * SOUND_HZ)) / SOUND_HZ
        voice = 0.5 * self.loudness(at_s) * np.sin(2 * np.pi * self.voice_hz * at_s)
        return voice + HUM * np.sin(2 * np.pi * HUM_HZ * at_s)


def write_video(
    path: Path, shots: Sequence[Shot], *, rate: int = RATE, silent: bool = False
) -> None:
    """Shots one after the other, with their sound or without."""
    pictures = [
        shot.picture(number / rate)
        for shot in shots
        for number in range(round(shot.seconds * rate))
    ]
    sound = None if silent else np.concatenate([shot.sound() for shot in shots])
    write_frames(path, pictures, sound, rate=rate)


def write_frames(
    path: Path, pictures: Sequence[np.ndarray], sound: np.ndarray | None, *, rate: int = RATE
) -> None:
    """A video of RGB pictures and uncompressed sound (S,)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = pictures[0].shape
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate, width=width, height=height)
        video.pix_fmt, video.bit_rate = "yuv420p", 4_000_000
        audio = None
        if sound is not None:
            audio = container.add_stream("pcm_s16le", SOUND_HZ, layout="mono")
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            pcm = (sound.clip(-1, 1) * 32767).round().astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
            frame.sample_rate = SOUND_HZ
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
