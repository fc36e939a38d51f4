"""Does a mouth belong to a voice? A judge fitted on talk that the Actor never sees.

It stands in for SyncNet, whose weights may not be shipped: canonical correlation instead of a
network, the same two figures. A window of sound and a window of lips are mapped to where the two
correlate most and scaled to unit length; their distance, averaged over a stretch of talk, is
compared over shifts of the sound. Figures are comparable under the same judge only.

Shapes: F frames, H = 4 F hops of log-mel, P lip coordinates, E = COMPONENTS, S = 2 SHIFT + 1.

Source: Hotelling, "Relations between two sets of variates", Biometrika 28, 1936; confidence and
distance as in Chung and Zisserman, "Out of time", ACCV workshop 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from actor_server.motion.source import Floats
from proto.speech_features import MEL_BINS
from proto.time_law import FRAME_US

SHIFT: Final = 15
"""The sound is shifted by up to so many frames either way."""
COMPONENTS: Final = 12
REACH: Final = 4
"""A window is the frame and so many on either side, for sound and lips alike."""
BANDS: Final = 20
HOPS_PER_FRAME: Final = FRAME_US // 10_000
STEPS_PER_FRAME: Final = 2
RANGE: Final = 0.9
"""From a voice's peak down to silence, in units of the features; what is fainter is silence."""
PEAK_PERCENTILE: Final = 97.0
AUDIBLE: Final = 0.3
"""Share of the range from which a frame counts as voiced."""
VOICED_SHARE: Final = 0.4
"""A stretch with fewer voiced frames is not judged: silence fits every mouth."""
UNRELATED: Final = float(np.sqrt(2))
"""Mean distance of unit vectors that have nothing to do with each other."""
DAMPING: Final = 0.02
"""Of the mean variance, added to every direction: what hardly varies must not decide."""
_Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Talk:
    """Sound and lips of one stretch: hops (4 F, 80), lips (F, P), usable (F,)."""

    hops: Floats
    lips: Floats
    usable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        frames = len(self.lips)
        if self.hops.shape != (frames * HOPS_PER_FRAME, MEL_BINS) or len(self.usable) != frames:
            raise ValueError(
                f"{frames} frames of lips need hops ({frames * HOPS_PER_FRAME}, {MEL_BINS}) and "
                f"{frames} marks, got {self.hops.shape} and {len(self.usable)}"
            )


@dataclass(frozen=True)
class Sync:
    """The judge's word on one stretch. `distances` (S,): mean distance at each shift.

    `shift`: the sound fits best when taken so many frames later than the picture.
    """

    distances: _Matrix

    @property
    def shift(self) -> int:
        return int(np.argmin(self.distances)) - SHIFT

    @property
    def distance(self) -> float:
        """D*: 0 one and the same, sqrt(2) unrelated."""
        return float(self.distances.min())

    @property
    def confidence(self) -> float:
        """C*: how far the best shift stands out from the middle one of all."""
        return float(np.median(self.distances) - self.distances.min())

    @property
    def unshifted(self) -> float:
        """The distance as the picture is shown: no search that flatters."""
        return float(self.distances[SHIFT])


@dataclass(frozen=True)
class AudioLipJudge:
    """Linear maps of sound (I, E) and lips (J, E) into one space, and the means they leave out."""

    sound_mean: _Matrix
    sound_map: _Matrix
    lips_mean: _Matrix
    lips_map: _Matrix
    correlations: _Matrix  # (E,)

    @classmethod
    def fit(cls, talks: Sequence[Talk]) -> "AudioLipJudge":
        """Canonical correlation with damped variances over all usable voiced windows."""
        sounds, lips = [], []
        for talk in talks:
            chosen = _whole(talk.usable)
            sounds.append(sound_windows(talk.hops)[chosen])
            lips.append(lip_windows(talk.lips)[chosen])
        x, y = np.concatenate(sounds), np.concatenate(lips)
        if len(x) <= COMPONENTS:
            raise ValueError(f"{len(x)} usable windows are too few to fit a judge")
        sound_mean, lips_mean = x.mean(0), y.mean(0)
        x, y = x - sound_mean, y - lips_mean
        white_x, white_y = _whitening(x), _whitening(y)
        cross = white_x.T @ (x.T @ y / len(x)) @ white_y
        u, s, vt = np.linalg.svd(cross, full_matrices=False)
        # scaled by the correlation: what sound and lips hardly share should hardly count
        kept = slice(0, min(COMPONENTS, len(s)))
        return cls(
            sound_mean=sound_mean,
            sound_map=white_x @ u[:, kept] * s[kept],
            lips_mean=lips_mean,
            lips_map=white_y @ vt.T[:, kept] * s[kept],
            correlations=s[kept],
        )

    def embed_sound(self, hops: Floats) -> _Matrix:
        """Unit vectors (F, E) of hops (4 F, 80)."""
        return _unit((sound_windows(hops) - self.sound_mean) @ self.sound_map)

    def embed_lips(self, lips: Floats) -> _Matrix:
        """Unit vectors (F, E) of lips (F, P)."""
        return _unit((lip_windows(lips) - self.lips_mean) @ self.lips_map)

    def read(self, talk: Talk, frames: int) -> "Reading":
        """Bring a talk into the judge's space and cut it into stretches of so many frames."""
        return Reading(
            self.embed_lips(talk.lips),
            self.embed_sound(talk.hops),
            voiced_frames(talk.hops),
            tuple(stretches(talk, frames)),
        )

    def judge(self, talk: Talk, frames: int) -> list[Sync]:
        """The word on every stretch of so many frames that can be judged."""
        read = self.read(talk, frames)
        return [compare(read, at, read, at) for at in read.stretches]


@dataclass(frozen=True)
class Reading:
    """A talk in the judge's space: lips and sound (F, E), voiced (F,), what can be judged."""

    lips: _Matrix
    sound: _Matrix
    voiced: NDArray[np.bool_]
    stretches: tuple[slice, ...]


def compare(mouth: Reading, seen: slice, voice: Reading, heard: slice) -> Sync:
    """A stretch of one talk's lips against an equally long one of any talk's sound.

    Only voiced sound is compared: a mouth at rest in silence is no merit, and would earn a
    confidence that grows with the pauses.
    """
    lips = mouth.lips[seen]
    distances = []
    for by in range(-SHIFT, SHIFT + 1):
        moved = slice(heard.start + by, heard.stop + by)
        apart = np.linalg.norm(lips - voice.sound[moved], axis=1)[voice.voiced[moved]]
        distances.append(apart.mean() if len(apart) else UNRELATED)
    return Sync(np.array(distances))


def stretches(talk: Talk, frames: int) -> list[slice]:
    """Stretches of usable frames, one after another, voiced and with sound for all shifts."""
    voiced, usable = voiced_frames(talk.hops), _whole(talk.usable)
    last = len(usable) - SHIFT - frames
    found = []
    at = SHIFT
    while at <= last:
        gaps = np.flatnonzero(~usable[at : at + frames])
        if len(gaps):
            at += int(gaps[-1]) + 1
            continue
        if voiced[at : at + frames].mean() >= VOICED_SHARE:
            found.append(slice(at, at + frames))
        at += frames
    return found


def voice_level(hops: Floats) -> _Matrix:
    """Bands of each half frame relative to the voice, (2 F, BANDS): 0 silent, 1 its peak."""
    steps = HOPS_PER_FRAME // STEPS_PER_FRAME
    bands = hops.astype(np.float64).reshape(-1, steps, BANDS, MEL_BINS // BANDS).mean((1, 3))
    loud = bands.mean(1)
    peak = np.percentile(loud, PEAK_PERCENTILE)
    audible = loud > peak - (1 - AUDIBLE) * RANGE
    colour = bands[audible].mean(0) - bands[audible].mean()
    level: _Matrix = np.clip((bands - colour - peak + RANGE) / RANGE, 0.0, 1.5)
    return level


def voiced_frames(hops: Floats) -> NDArray[np.bool_]:
    """Which frames (F,) have a voice."""
    level = voice_level(hops).mean(1).reshape(-1, STEPS_PER_FRAME).mean(1)
    voiced: NDArray[np.bool_] = level > AUDIBLE
    return voiced


def sound_windows(hops: Floats) -> _Matrix:
    """The sound round each frame, (F, (2 REACH + 1) 2 BANDS)."""
    level = voice_level(hops)
    return _windows(level.reshape(len(level) // STEPS_PER_FRAME, -1))


def lip_windows(lips: Floats) -> _Matrix:
    """The lips round each frame, (F, (2 REACH + 1) P)."""
    return _windows(lips.astype(np.float64))


def _windows(rows: _Matrix) -> _Matrix:
    padded = np.pad(rows, ((REACH, REACH), (0, 0)), mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1)).reshape(len(rows), -1)


def _whole(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which frames have a window of usable frames only, (F,)."""
    padded = np.pad(usable, REACH, mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)
    return np.asarray(view.all(1), np.bool_)


def _whitening(rows: _Matrix) -> _Matrix:
    """The matrix (I, I) that gives rows (N, I) unit covariance, as far as the damping lets it."""
    covariance = rows.T @ rows / len(rows)
    damping = DAMPING * np.trace(covariance) / len(covariance)
    values, vectors = eigh(covariance + damping * np.eye(len(covariance)))
    whitening: _Matrix = vectors / np.sqrt(values)
    return whitening


def _unit(rows: _Matrix) -> _Matrix:
    unit: _Matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit
