"""Build the Actor's training data from GRID's motion and the product's own speech.

    python -m actor_server.training.build --grid PATH --out DIR [--hours H] [--recited DIR]

PATH is one speaker's videos and alignments, whose arrays are extracted into DIR/grid first, or a
folder of such arrays. Without `--recited` the Thinker recites the written sentences first, into
DIR/recited; what is there already is kept. The same arguments give the same numbers.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, TimeElapsedColumn

from actor_server.codec.mesh.latent import LATENT_DIM, LATENT_STD
from actor_server.config import ActorConfig
from actor_server.motion.conditioning import Visibility
from actor_server.training.chunk_store import (
    INDEX_NAME,
    SOURCES,
    SPLITS,
    DatasetIndex,
    Sequence,
    SplitName,
    SplitWriter,
)
from actor_server.training.grid_corpus import grid_arrays
from actor_server.training.grid_motion import GridClip, read_grid_clips, split_clips
from actor_server.training.recital import (
    HELD_OUT_FOLDER,
    Recital,
    held_out_texts,
    read_recital,
)
from actor_server.training.scenes import Scenes
from actor_server.training.script import Script, perform
from proto.time_law import CHUNK_US

SIGHT: Final = Visibility(history_tokens=4, lookahead_tokens=2, state_width=576)
"""What nano's chunks see; 576 is the width of the states of its brain."""
SHARES: Final = {"grid": 0.30, "spoken": 0.30, "mixed": 0.40}
HELD_OUT_SHARE: Final = 0.08
"""Hours of invented held-out sequences for one hour of training."""
CLIPS_IN_A_SEQUENCE: Final = (3, 6)
RECITED_SHARE: Final = 50 / 240
"""Minutes of speech to recite for one minute of training data; each is used 2.3 times, every time
in another disguise and with other dice for what rules move."""
OTHER_VOICES: Final = (
    *("kokoro:af_heart", "kokoro:am_michael", "kokoro:bm_george"),
    *("kokoro:af_bella", "kokoro:bf_emma"),
)
OTHER_VOICES_SHARE: Final = 0.1
"""Of the recited speech: these voices are as slow as speech itself."""
JUDGED_VOICES: Final = ("hibari", *OTHER_VOICES[:3])
JUDGED_MINUTES: Final = 2.0
"""Of held-out sentences in each of these voices, so that each can be judged by itself."""
LEAST_STD: Final = 0.05
"""Of a number's ordinary standard deviation."""


@dataclass
class Moments:
    """Running sums over trusted numbers, (31,)."""

    count: NDArray[np.float64] = field(default_factory=lambda: np.zeros(LATENT_DIM))
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(LATENT_DIM))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(LATENT_DIM))

    def add(self, sequence: Sequence) -> None:
        trusted = sequence.trusted.astype(np.float64)
        self.count += trusted.sum((0, 1))
        self.total += (trusted * sequence.latents).sum((0, 1))
        self.squares += (trusted * sequence.latents.astype(np.float64) ** 2).sum((0, 1))

    @property
    def mean(self) -> NDArray[np.float64]:
        return self.total / np.maximum(self.count, 1)

    @property
    def std(self) -> NDArray[np.float64]:
        """Bounded below: a sideways mouth never occurs, and a generator divides by this."""
        variance = self.squares / np.maximum(self.count, 1) - self.mean**2
        least = LEAST_STD * LATENT_STD.astype(np.float64)
        bounded: NDArray[np.float64] = np.maximum(np.sqrt(np.maximum(variance, 0)), least)
        return bounded


@dataclass(frozen=True)
class Material:
    """What one split is made of."""

    split: SplitName
    clips: tuple[GridClip, ...]
    recital: Recital
    chunks: dict[str, int]
    """Wanted chunks by source."""


def scripts(material: Material, source: str, sight: Visibility, seed: int) -> Iterator[Script]:
    """Sequences of one source; endless, but for GRID outside of training: each clip once."""
    if source == "grid":
        yield from _grid_scripts(material, sight, seed)
        return
    number = 0
    while True:
        scenes = Scenes(_dice(seed, material.split, source, number), sight, material.recital)
        yield scenes.spoken() if source == "spoken" else scenes.mixed()
        number += 1


def _grid_scripts(material: Material, sight: Visibility, seed: int) -> Iterator[Script]:
    training = material.split == "train"
    number = 0
    while material.clips and (training or number == 0):
        dice = _dice(seed, material.split, "grid order", number)
        waiting = [material.clips[place] for place in dice.permutation(len(material.clips))]
        waiting.sort(key=lambda clip: clip.phones is None)  # a turn has phones, or it has none
        while waiting:
            count = clips_to_take(int(dice.integers(*CLIPS_IN_A_SEQUENCE)), len(waiting))
            said, waiting = waiting[:count], waiting[count:]
            number += 1
            scenes = Scenes(_dice(seed, material.split, "grid", number), sight, material.recital)
            yield scenes.grid(said, natural=not training)


def clips_to_take(wanted: int, waiting: int) -> int:
    """How many clips the next sequence takes, so that the last one is no stump."""
    least, most = CLIPS_IN_A_SEQUENCE[0], CLIPS_IN_A_SEQUENCE[1] - 1
    if waiting <= most:
        return waiting
    return min(wanted, max(least, waiting - least))


def _dice(seed: int, split: str, what: str, number: int) -> np.random.Generator:
    name = int.from_bytes(f"{split}/{what}".encode(), "little")
    return np.random.default_rng((seed, name, number))


def build_split(
    material: Material, folder: Path, sight: Visibility, seed: int, progress: Progress
) -> tuple[dict[str, int], Moments]:
    """Write one split; its chunks by source, and the statistics of what is trusted."""
    writer, moments = SplitWriter(folder, sight), Moments()
    made = dict.fromkeys(SOURCES, 0)
    for source in SOURCES:
        wanted = material.chunks[source]
        if not wanted:
            continue
        bar = progress.add_task(f"{material.split}: {source}", total=wanted)
        for number, script in enumerate(scripts(material, source, sight, seed)):
            if made[source] >= wanted:
                break
            part = _dice(seed, material.split, f"{source} performance", number)
            sequence = perform(script, sight, seed=int(part.integers(2**31)))
            writer.append(sequence)
            moments.add(sequence)
            made[source] += len(sequence.conditions)
            progress.update(bar, completed=min(made[source], wanted))
        progress.update(bar, completed=wanted)
    writer.close()
    return made, moments


def materials(
    clips: list[GridClip], recited: dict[SplitName, Recital], hours: float, seed: int
) -> list[Material]:
    """The three splits; `judge` holds motion of clips that nothing else is made of."""
    split_of = split_clips([clip.name for clip in clips], seed)
    chunks = hours * 3_600_000_000 / CHUNK_US
    found = []
    for split in SPLITS:
        share = 1.0 if split == "train" else HELD_OUT_SHARE
        wanted = {source: round(chunks * share * SHARES[source]) for source in SOURCES}
        if split != "train":
            wanted["grid"] = round(chunks * SHARES["grid"])  # or each clip once, if that is less
        if split == "judge":
            wanted |= {"spoken": 0, "mixed": 0}
        chosen = tuple(clip for clip in clips if clip.name in set(split_of[split]))
        recital = recited["train" if split == "train" else "held_out"]
        found.append(Material(split, chosen, recital, wanted))
    return found


def recite(folder: Path, hours: float, seed: int) -> None:
    """Have the Thinker speak the packaged sentences, in a process of its own."""
    minutes = max(1.0, round(60 * hours * RECITED_SHARE, 2))
    other = minutes * OTHER_VOICES_SHARE / len(OTHER_VOICES)
    with as_file(files("actor_server.training") / "data" / "sentences.txt") as sentences:
        _speak(sentences, {"hibari": minutes} | dict.fromkeys(OTHER_VOICES, other), folder, seed)
    unseen = folder / HELD_OUT_FOLDER / "sentences.txt"
    unseen.parent.mkdir(exist_ok=True)
    unseen.write_text("\n".join(sorted(held_out_texts(folder, seed))) + "\n")
    _speak(unseen, dict.fromkeys(JUDGED_VOICES, JUDGED_MINUTES), unseen.parent, seed)


def _speak(sentences: Path, minutes: dict[str, float], folder: Path, seed: int) -> None:
    voices = ",".join(f"{name}={wanted:.2f}" for name, wanted in minutes.items())
    command = [sys.executable, "-m", "thinker_server.recite", "--sentences", str(sentences)]
    command += ["--voices", voices, "--out", str(folder), "--seed", str(seed)]
    subprocess.run(command, check=True)


def build(grid: Path, recited: Path, out: Path, hours: float, seed: int) -> DatasetIndex:
    """Write the whole dataset; its index last."""
    (out / INDEX_NAME).unlink(missing_ok=True)
    clips = read_grid_clips(grid)
    parts = materials(clips, read_recital(recited, seed), hours, seed)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as progress:
        work = partial(build_split, sight=SIGHT, seed=seed, progress=progress)
        results = {part.split: work(part, out / part.split) for part in parts}
    moments = results["train"][1]
    recipe: dict[str, Any] = {
        "seed": seed,
        "hours": hours,
        "grid_clips": {part.split: [clip.name for clip in part.clips] for part in parts},
        "recited_tokens": {part.split: part.recital.audio_tokens for part in parts},
        "trusted_share": (moments.count / max(1.0, moments.count.max())).round(4).tolist(),
    }
    index = DatasetIndex(
        visibility=SIGHT,
        latent_mean=moments.mean.tolist(),
        latent_std=moments.std.tolist(),
        chunks={split: made for split, (made, _) in results.items()},
        recipe=recipe,
    )
    index.write(out)
    return index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--grid", type=Path, required=True, help="the corpus, or its arrays")
    parser.add_argument("--out", type=Path, required=True, help="folder for the dataset")
    parser.add_argument("--hours", type=float, default=4.0, help="of training data")
    parser.add_argument("--recited", type=Path, help="replies that were recited before")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    options = parser.parse_args()

    recited = options.recited or options.out / "recited"
    options.out.mkdir(parents=True, exist_ok=True)
    if options.recited is None:
        recite(recited, options.hours, options.seed)
    grid = grid_arrays(options.grid, options.out / "grid", options.assets)
    index = build(grid, recited, options.out, options.hours, options.seed)
    for split, made in index.chunks.items():
        minutes = {source: round(count * CHUNK_US / 60e6, 1) for source, count in made.items()}
        print(f"{split}: minutes {minutes}")


if __name__ == "__main__":
    main()
