"""What the lips do at each phone, and whether they meet where they must.

Shapes: F frames. Units: eye distances (outer corner to outer corner).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.takes import Take
from actor_server.motion.phone_lips import CLASSES
from proto.messages import Phone
from proto.time_law import FRAME_US

BILABIALS: Final = CLASSES["bilabial"]
CLOSED: Final = 0.03
"""Lips that are no further apart count as closed."""
GRID_APERTURES: Final = {
    "B": 0.019,
    "P": 0.022,
    "M": 0.026,
    "F": 0.041,
    "UW": 0.050,
    "L": 0.075,
    "S": 0.095,
    "AE": 0.107,
    "EH": 0.120,
    "EY": 0.144,
}
"""Mean apertures of the GRID corpus, speaker s1, in the middle frame of the phone."""


@dataclass(frozen=True)
class Articulation:
    """Of all takes together. None: there was nothing to measure.

    `gap_correlation`, `gap_size`: of the gap with the truth's, over all trusted frames; and its
    standard deviation over the truth's.
    """

    apertures: dict[str, float]
    counts: dict[str, int]
    closure_rate: float | None
    aperture_error: float | None
    gap_correlation: float | None
    gap_size: float | None


def articulation(takes: Sequence[Take], tracks: Sequence[LipTrack]) -> Articulation:
    """Measure lips, one track per take, against the takes' phones and their own lips."""
    samples: dict[str, list[float]] = {}
    closures: list[bool] = []
    for take, track in zip(takes, tracks, strict=True):
        for phone in take.phones:
            frame = middle_frame(phone)
            if frame < take.frames and take.usable[frame]:
                samples.setdefault(phone.symbol, []).append(float(track.gap[frame]))
        closures += bilabial_closures(take, track)
    apertures = {symbol: float(np.mean(gaps)) for symbol, gaps in sorted(samples.items())}
    errors = [abs(apertures[s] - wanted) for s, wanted in GRID_APERTURES.items() if s in apertures]
    correlation, size = _against_truth(takes, tracks)
    return Articulation(
        apertures=apertures,
        counts={symbol: len(samples[symbol]) for symbol in apertures},
        closure_rate=float(np.mean(closures)) if closures else None,
        aperture_error=float(np.mean(errors)) if errors else None,
        gap_correlation=correlation,
        gap_size=size,
    )


def by_voice(takes: Sequence[Take], tracks: Sequence[LipTrack]) -> dict[str, Articulation]:
    """The same of each voice that has a name."""
    spoken: dict[str, tuple[list[Take], list[LipTrack]]] = {}
    for take, track in zip(takes, tracks, strict=True):
        if take.voice:
            own_takes, own_tracks = spoken.setdefault(take.voice, ([], []))
            own_takes.append(take)
            own_tracks.append(track)
    return {voice: articulation(*own) for voice, own in sorted(spoken.items())}


def middle_frame(phone: Phone) -> int:
    """The frame round(25 x midpoint)."""
    return round((phone.start_us + phone.end_us) / 2 / FRAME_US)


def bilabial_frames(take: Take) -> list[slice]:
    """The frames of each B, P and M of which every frame is trusted."""
    spoken = [
        slice(phone.start_us // FRAME_US, -(-phone.end_us // FRAME_US) + 1)
        for phone in take.phones
        if phone.symbol in BILABIALS
    ]
    return [frames for frames in spoken if frames.stop <= take.frames and take.usable[frames].all()]


def bilabial_closures(take: Take, track: LipTrack) -> list[bool]:
    """Whether the lips met during each of them."""
    return [bool(track.gap[frames].min() <= CLOSED) for frames in bilabial_frames(take)]


def _against_truth(
    takes: Sequence[Take], tracks: Sequence[LipTrack]
) -> tuple[float | None, float | None]:
    usable = [take.usable for take in takes]
    gap = _pooled([track.gap for track in tracks], usable)
    truth = _pooled([LipTrack.of_latents(take.latents).gap for take in takes], usable)
    if len(truth) < 2 or truth.std() == 0:
        return None, None
    size = float(gap.std() / truth.std())
    if gap.std() == 0:
        return None, size
    return float(np.corrcoef(gap, truth)[0, 1]), size


def _pooled(
    rows: Sequence[NDArray[np.float32]], chosen: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    kept = [row[mask] for row, mask in zip(rows, chosen, strict=True)]
    return np.concatenate(kept).astype(np.float64)
