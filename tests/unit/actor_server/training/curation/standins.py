"""Judges of generated footage: small, but each really looks or listens."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from actor_server.training.curation.clip import Clip
from actor_server.training.curation.judges import Box
from actor_server.training.curation.media import Picture, Sound
from proto.time_law import FRAMES_PER_SECOND, HEARING_HZ
from tests.unit.actor_server.training.curation.footage import (
    CHINESE_HZ,
    ENGLISH_HZ,
    FRENCH_HZ,
    HUM_HZ,
)


class MouthAndVoice:
    """A LipSyncJudge: ten times the correlation of a mouth's size with the loudness."""

    def score(self, clip: Clip) -> float:
        mouths = [np.sum((p[..., 2] > 150) & (p[..., 0] < 100)) for p in clip.pictures()]
        sound = clip.original_sound().reshape(len(mouths), HEARING_HZ // FRAMES_PER_SECOND)
        return 10 * float(np.corrcoef(mouths, sound.std(1))[0, 1])


class RedDiscs:
    """A PersonCounter and a FaceFinder: people are large and red, faces have black eyes."""

    def count(self, picture: Picture) -> int:
        return len(self._discs(picture))

    def faces(self, picture: Picture) -> list[Box]:
        found = []
        for left, top, width, height in self._discs(picture):
            inside = picture[top : top + height // 2, left : left + width]
            if np.sum(inside.max(2) < 90) > 50:
                found.append((float(left), float(top), float(width), float(height)))
        return found

    def _discs(self, picture: Picture) -> list[tuple[int, int, int, int]]:
        red = (picture[..., 0] > 150) & (picture[..., 1] < 100)
        _, _, facts, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        return [tuple(map(int, fact[:4])) for fact in facts[1:] if fact[4] > 500]


class Sharpness:
    """A QualityJudge."""

    def score(self, picture: Picture) -> float:
        edges = cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F)
        return min(100.0, float(edges.std()) * 4)


class WhiteWriting:
    """A TextFinder: writing is white."""

    def pieces(self, picture: Picture) -> int:
        white = cv2.dilate((picture.min(2) > 200).astype(np.uint8), np.ones((9, 9), np.uint8))
        return int(cv2.connectedComponents(white)[0]) - 1


class HumFilter:
    """A Denoiser: nothing of a voice is as low as the mains."""

    rate_hz = 32_000

    def denoise(self, sound: Sound) -> Sound:
        spectrum = np.fft.rfft(sound)
        spectrum[np.fft.rfftfreq(len(sound), 1 / self.rate_hz) < 2 * HUM_HZ] = 0
        return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


class PitchAsLanguage:
    """A Transcriber: each language has its pitch."""

    def transcribe(self, speech: Sound) -> tuple[str, str]:
        loudest = np.abs(np.fft.rfft(speech)).argmax() * HEARING_HZ / len(speech)
        pitches = {"en": ENGLISH_HZ, "zh": CHINESE_HZ, "fr": FRENCH_HZ}
        language = min(pitches, key=lambda name: abs(pitches[name] - loudest))
        return language, f"a tone of {loudest:.0f} hertz"


class Paper:
    """An Embedder that only writes down what it was given."""

    def write(self, clips: Sequence[Clip], shard: Path) -> Mapping[str, str]:
        shard.with_suffix(".txt").write_text("\n".join(clip.name for clip in clips))
        return {}


class Thirsty:
    """A TextFinder that dies of what it sees."""

    def pieces(self, picture: Picture) -> int:
        raise RuntimeError(f"no words for {picture.shape}")


class SharpnessOf(Sharpness):
    """A QualityJudge with a file."""

    def __init__(self, model: str) -> None:
        self.model = model
