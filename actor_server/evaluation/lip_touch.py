"""How near lips must come to touch (decision 16), measured on takes that no Actor learned from:

    python -m actor_server.evaluation.lip_touch --data DIR [--avatar mara] [--widths .05 .07]

Prints, for each width in inter-iris distances, how many B P M are seen shut in drawn frames, of the
truth's motion and of the shipped Actor's, and how much wider than they are small gaps are seen.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.expression import LIPS_TOUCH
from actor_server.config import ActorConfig
from actor_server.evaluation.actor_system import actors_in
from actor_server.evaluation.articulation import CLOSED, bilabial_frames
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.rendered import Avatar, Watcher, default_avatars
from actor_server.evaluation.takes import Take, read_takes
from actor_server.motion.choice import SHIPPED_WEIGHTS
from actor_server.motion.source import Floats

WIDTHS: Final = (0.05, 0.06, LIPS_TOUCH, 0.08, 0.09, 0.11)
SMALL_GAP: Final = (CLOSED, 0.06)
"""Eye distances."""
GAPS_PER_TAKE: Final = 2
SEED: Final = 1


def touching(avatar: Avatar, width: float) -> Avatar:
    """The same face with lips that touch when they are so near, inter-iris distances."""
    portrait = avatar.decoder.portrait
    touch = width * portrait.geometry.alignment.scale
    expression = replace(portrait.expression, touch=touch)
    return replace(avatar, decoder=MeshDecoder(replace(portrait, expression=expression)))


def shut(takes: Sequence[Take], motion: Sequence[Floats], watcher: Watcher | None) -> int:
    """In how many B P M the lips meet: of the latents, or seen by a watcher."""
    met = 0
    for take, latents in zip(takes, motion, strict=True):
        for frames in bilabial_frames(take):
            part = latents[frames]
            seen = (
                LipTrack.of_latents(part) if watcher is None else watcher.lips(watcher.watch(part))
            )
            met += bool(seen.gap.min() <= CLOSED)
    return met


def seen_wider(latents: Floats, watcher: Watcher) -> float:
    """How much wider than they are small gaps of (F, 31) are seen, mean, eye distances."""
    gap = LipTrack.of_latents(latents).gap
    small = (gap >= SMALL_GAP[0]) & (gap < SMALL_GAP[1])
    seen = watcher.lips(watcher.watch(latents[small])).gap
    return float((seen - gap[small]).mean())


def _some_frames(motion: Sequence[Floats]) -> Floats:
    dice = np.random.default_rng(SEED)
    return np.concatenate(
        [latents[dice.integers(len(latents), size=GAPS_PER_TAKE)] for latents in motion]
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with dataset.json")
    parser.add_argument("--avatar", default="mara")
    parser.add_argument("--widths", type=float, nargs="+", default=WIDTHS)
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    options = parser.parse_args()
    takes = [take for take in read_takes(options.data, "judge") if take.source == "grid"]
    (actor,) = actors_in(SHIPPED_WEIGHTS, None, None, None)
    truth, performed = [take.latents for take in takes], actor.perform(takes)
    (avatar,) = default_avatars([options.avatar], options.assets)
    events = sum(len(bilabial_frames(take)) for take in takes)
    table = Table("width", "truth", "Actor", "small gaps seen wider by", title=f"{events} B P M")
    table.add_row("latents", str(shut(takes, truth, None)), str(shut(takes, performed, None)), "")
    some = _some_frames(performed)
    for width in options.widths:
        watcher = Watcher.open(touching(avatar, width), options.assets)
        try:
            counts = [str(shut(takes, motion, watcher)) for motion in (truth, performed)]
            table.add_row(f"{width:g}", *counts, f"{seen_wider(some, watcher):.4f}")
        finally:
            watcher.close()
    Console().print(table)


if __name__ == "__main__":
    main()
