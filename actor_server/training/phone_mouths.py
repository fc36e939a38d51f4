"""The mean mouth of every ARPAbet phone, measured in the middle of the phone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.basis import MouthBasis
from actor_server.training.grid_tracks import GridTracks, Phone

# Phones that GRID's vocabulary never uses, and the one whose lips are most alike.
SUBSTITUTES: Final = {"ER": "R", "NG": "N", "OY": "AO", "SH": "CH", "UH": "UW", "ZH": "JH"}
BILABIALS: Final = ("B", "P", "M")


@dataclass(frozen=True)
class PhoneMouth:
    """Mouth coefficients of one phone over all its occurrences."""

    mean: NDArray[np.float64]  # (K,)
    std: NDArray[np.float64]  # (K,)
    count: int
    substitute: str | None = None  # the phone measured in its place


def phone_mouths(
    tracks: GridTracks,
    phones: dict[str, list[Phone]],
    coefficients: NDArray[np.floating],
    basis: MouthBasis,
) -> dict[str, PhoneMouth]:
    """Gather (F, K) coefficients at the middle frame of every phone.

    The speaker's sideways habits are averaged away, and the lips of B, P and M meet: at 25 frames a
    second the middle frame misses some closures, so their raw mean would leave the mouth ajar.
    """
    samples: dict[str, list[NDArray[np.floating]]] = {}
    for clip, name in enumerate(tracks.clip_names):
        frames = tracks.frames_of(clip)
        for phone in phones.get(name, []):
            frame = frames.start + phone.middle_frame
            if frame < frames.stop and tracks.valid[frame]:
                samples.setdefault(phone.symbol, []).append(coefficients[frame])
    mouths = {}
    for symbol, rows in samples.items():
        mean = _without_feature(np.mean(rows, axis=0), basis, "asymmetry")
        if symbol in BILABIALS:
            mean = _without_feature(mean, basis, "gap")
        mouths[symbol] = PhoneMouth(mean, np.std(rows, axis=0), len(rows))
    for symbol, stand_in in SUBSTITUTES.items():
        if symbol not in mouths:
            twin = mouths[stand_in]
            mouths[symbol] = PhoneMouth(twin.mean, twin.std, 0, stand_in)
    return dict(sorted(mouths.items()))


def _without_feature(
    mean: NDArray[np.floating], basis: MouthBasis, feature: str
) -> NDArray[np.float64]:
    """Move the mean as little as possible so that one feature of the mouth becomes zero."""
    row = basis.features[feature]
    moved: NDArray[np.float64] = mean - row * (row @ mean) / (row @ row)
    return moved


def print_apertures(mouths: dict[str, PhoneMouth], basis: MouthBasis) -> None:
    print("phone: count, inner lip gap, width, protrusion (inter-iris distances)")
    for symbol, mouth in mouths.items():
        gap, width, forward = (
            float(basis.features[name] @ mouth.mean) for name in ("gap", "width", "protrusion")
        )
        note = f"  as {mouth.substitute}" if mouth.substitute else ""
        print(f"  {symbol:3s} {mouth.count:5d}  {gap:6.3f} {width:6.3f} {forward:6.3f}{note}")


def write_phone_mouths(path: Path, mouths: dict[str, PhoneMouth]) -> None:
    table = {
        symbol: {
            "mean": [round(float(value), 4) for value in mouth.mean],
            "std": [round(float(value), 4) for value in mouth.std],
            "count": mouth.count,
            "substitute": mouth.substitute,
        }
        for symbol, mouth in mouths.items()
    }
    path.write_text(json.dumps(table, indent=1) + "\n")
