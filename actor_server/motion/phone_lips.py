"""Lips from phones: a phone-in-context model that was fitted on GRID.

The mouth of a frame is a sum of contributions of the phones that sound up to CONTEXT_FRAMES before
and after it, so coarticulation and the lips' lead over the voice come from the data. A phone that
GRID has seldom borrows from its class. What the sum blurs is put right: B, P and M close the lips,
F and V bring the lower lip to the teeth.

Shapes: F frames, S symbols + classes, K = 16 mouth coefficients, O = 2 CONTEXT_FRAMES + 1 offsets.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import MOUTH_DIM
from actor_server.motion.source import Floats
from proto.messages import Phone
from proto.time_law import FRAME_US

CONTEXT_FRAMES: Final = 5
SILENCE: Final = "SIL"
SUBSTITUTES: Final = {"ER": "R", "NG": "N", "OY": "AO", "SH": "CH", "UH": "UW", "ZH": "JH"}
"""Phones that GRID's vocabulary never uses, and the one whose lips are most alike."""
CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "bilabial": ("B", "P", "M"),
    "labiodental": ("F", "V"),
    "dental": ("TH", "DH"),
    "alveolar": ("T", "D", "N"),
    "sibilant": ("S", "Z"),
    "palatal": ("CH", "JH"),
    "velar": ("K", "G"),
    "glottal": ("HH",),
    "lateral": ("L",),
    "rhotic": ("R",),
    "rounded": ("W", "UW"),
    "back": ("OW", "AO"),
    "low": ("AA", "AE", "AW", "AY"),
    "mid": ("AH", "EH", "EY"),
    "high": ("IH", "IY", "Y"),
    "silent": (SILENCE,),
}
SYMBOLS: Final = tuple(sorted(symbol for members in CLASSES.values() for symbol in members))
CLASS_OF: Final = {symbol: name for name, members in CLASSES.items() for symbol in members}
COLUMNS: Final = SYMBOLS + tuple(CLASSES)
_COLUMN: Final = {name: index for index, name in enumerate(COLUMNS)}

CLOSED_GAP: Final = -0.01
"""Inner lip gap of a closure, inter-iris distances; the decoder lets lips touch, not cross."""
TEETH_GAP: Final = 0.035
CLOSURES: Final = dict.fromkeys(CLASSES["bilabial"], CLOSED_GAP) | dict.fromkeys(
    CLASSES["labiodental"], TEETH_GAP
)
VOWEL_SHARE: Final = 0.6
"""A vowel opens the lips to this share of its mean in GRID at least, in its middle."""
VOWELS: Final = (
    *("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"),
)
ROUNDED_WIDTH: Final = {"W": -0.10, "UW": -0.10, "UH": -0.08, "OW": -0.09, "AO": -0.08} | {
    "SH": -0.06,
    "ZH": -0.06,
    "CH": -0.05,
    "JH": -0.05,
    "R": -0.06,
    "ER": -0.05,
}
"""Mouth width of rounded sounds, inter-iris distances from rest: GRID's speaker rounds little, and
a regression less still."""
WIDE_GAP: Final = 0.20
"""Wider openings are rare in GRID; what a sum of contributions adds beyond counts half."""
CLOSURE_EDGE_US: Final = 52_000
"""Lips begin to meet this long before a closure and part as long after it."""


@dataclass(frozen=True)
class PhoneLips:
    """Weights (O, S, K) and a bias (K,)."""

    weights: Floats
    bias: Floats

    def track(self, phones: tuple[Phone, ...], start_us: int, frames: int, final: bool) -> Floats:
        """Mouth coefficients (F, K) of the frames from `start_us` of the turn on.

        The future that is not known yet is taken to hold the last known phone, or silence when the
        turn is over.
        """
        first_us = start_us - CONTEXT_FRAMES * FRAME_US
        active = activations(phones, first_us, frames + 2 * CONTEXT_FRAMES, final)
        windows = np.lib.stride_tricks.sliding_window_view(active, len(self.weights), axis=0)
        mouths = np.einsum("fso,osk->fk", windows, self.weights, optimize=True) + self.bias
        return articulate(mouths.astype(np.float32), phones, start_us)


def activations(
    phones: tuple[Phone, ...], first_us: int, frames: int, final: bool
) -> NDArray[np.float32]:
    """How much of each frame a phone and its class fill, (F, S); silence fills the rest."""
    active = np.zeros((frames, len(COLUMNS)), np.float32)
    known_us = max((phone.end_us for phone in phones), default=0)
    for phone in phones:
        _fill(active, phone.symbol, phone.start_us - first_us, phone.end_us - first_us)
    if phones and not final:
        last = max(phones, key=lambda phone: phone.end_us)
        _fill(active, last.symbol, known_us - first_us, frames * FRAME_US)
    empty = 1.0 - active[:, : len(SYMBOLS)].sum(1)
    active[:, _COLUMN[SILENCE]] += np.maximum(empty, 0.0)
    active[:, _COLUMN["silent"]] += np.maximum(empty, 0.0)
    return active


def _fill(active: NDArray[np.float32], symbol: str, from_us: int, to_us: int) -> None:
    """Add one phone to the frames that it overlaps; symbols nobody knows count as silence."""
    symbol = SUBSTITUTES.get(symbol, symbol)
    if symbol not in CLASS_OF:
        return
    columns = [_COLUMN[symbol], _COLUMN[CLASS_OF[symbol]]]
    last = min(len(active) - 1, (to_us - 1) // FRAME_US)
    for frame in range(max(0, from_us // FRAME_US), last + 1):
        overlap_us = min(to_us, (frame + 1) * FRAME_US) - max(from_us, frame * FRAME_US)
        if overlap_us > 0:
            active[frame, columns] += overlap_us / FRAME_US


def articulate(mouths: Floats, phones: tuple[Phone, ...], start_us: int) -> Floats:
    """Open vowels that their neighbours would swallow, round, then close lips, (F, K) in, out."""
    gap, width = _row("gap"), _row("width")
    for phone in _near(phones, start_us, len(mouths)):
        narrow = ROUNDED_WIDTH.get(phone.symbol)
        if narrow is not None:
            share = _nearness(phone, start_us, len(mouths))
            excess = np.maximum(mouths @ width - narrow, 0.0) * share
            mouths = mouths + np.outer(excess, _narrowing()).astype(np.float32)
        least = _vowel_gaps().get(phone.symbol)
        if least is not None:
            share = _nearness(phone, start_us, len(mouths))
            lack = np.maximum(least - mouths @ gap, 0.0) * share
            mouths = mouths + np.outer(lack, gap / (gap @ gap)).astype(np.float32)
    return close_lips(mouths, phones, start_us)


def close_lips(mouths: Floats, phones: tuple[Phone, ...], start_us: int) -> Floats:
    """Enforce the closures that must be seen, (F, K) in and out."""
    gap = _row("gap")
    for phone in _near(phones, start_us, len(mouths)):
        limit = CLOSURES.get(phone.symbol)
        if limit is not None:
            share = _nearness(phone, start_us, len(mouths))
            excess = np.maximum(mouths @ gap - limit, 0.0) * share
            mouths = mouths - np.outer(excess, gap / (gap @ gap)).astype(np.float32)
    return mouths


def _near(phones: tuple[Phone, ...], start_us: int, frames: int) -> list[Phone]:
    """The phones that touch the frames, edges included."""
    first_us, end_us = start_us - CLOSURE_EDGE_US, start_us + frames * FRAME_US + CLOSURE_EDGE_US
    return [phone for phone in phones if phone.end_us > first_us and phone.start_us < end_us]


def keep_natural(mouths: Floats) -> Floats:
    """Bound the opening of the lips, (F, K) in and out: they never cross nor gape."""
    gap = _row("gap")
    opening = mouths @ gap
    bounded = np.maximum(opening, CLOSED_GAP)
    bounded = np.where(bounded > WIDE_GAP, 0.5 * (bounded + WIDE_GAP), bounded)
    return mouths + np.outer(bounded - opening, gap / (gap @ gap)).astype(np.float32)


def _nearness(phone: Phone, start_us: int, frames: int) -> Floats:
    """How much each frame belongs to one phone, (F,) 0-1; 1 in its middle frame at least."""
    centres_us = start_us + (np.arange(frames) + 0.5) * FRAME_US
    outside_us = np.maximum(phone.start_us - centres_us, centres_us - phone.end_us)
    share = np.clip(1.0 - outside_us / CLOSURE_EDGE_US, 0.0, 1.0)
    middle = ((phone.start_us + phone.end_us) // 2 - start_us) / FRAME_US
    nearest = (int(np.floor(middle)), round(middle))
    for frame in nearest:
        if 0 <= frame < frames:
            share[frame] = 1.0
    near: Floats = share.astype(np.float32)
    return near


@cache
def _row(feature: str) -> Floats:
    """How each coefficient changes a feature of the mouth, (K,)."""
    row: Floats = mouth_basis().features[feature].astype(np.float32)
    return row


@cache
def _narrowing() -> Floats:
    """Coefficients (K,) that make the mouth narrower by one unit and open it no further."""
    direction: Floats = mouth_basis().solve(width=-1.0, gap=0.0).astype(np.float32)
    return direction


@cache
def _vowel_gaps() -> dict[str, float]:
    """The least opening of each vowel, inter-iris distances, from its mean mouth in GRID."""
    text = (files("actor_server.codec.mesh") / "data" / "phone_mouths.json").read_text()
    means = {symbol: np.array(mouth["mean"]) for symbol, mouth in json.loads(text).items()}
    return {symbol: VOWEL_SHARE * float(_row("gap") @ means[symbol]) for symbol in VOWELS}


@cache
def phone_lips() -> PhoneLips:
    """Load the packaged model."""
    resource = files("actor_server.motion") / "data" / "phone_lips.npz"
    with as_file(resource) as path, np.load(path) as archive:
        if tuple(archive["columns"]) != COLUMNS or archive["weights"].shape[2] != MOUTH_DIM:
            raise ValueError(
                "phone_lips.npz was fitted for other phones: fit it again with "
                "actor_server.training.lip_models"
            )
        return PhoneLips(archive["weights"].astype(np.float32), archive["bias"])
