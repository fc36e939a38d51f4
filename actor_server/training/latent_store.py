"""Cached clips on disk for an Actor of LTX latents: what its training reads, and nothing else.

A dataset is a folder of shards, which may be written one by one and by many programs, and the
index that `finish_dataset` makes of them. A shard is a safetensors file: the arrays of its clips,
one clip after the other, so that training maps the files and reads any crop.

Letters as in `latent_clip`, and Q clips.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from actor_server.errors import TensorsUnreadable
from actor_server.motion.conditioning import KINDS
from actor_server.tensor_files import TensorFiles
from actor_server.training.latent_clip import (
    LANGUAGES,
    LatentClip,
    LatentLayout,
    LatentsUnusable,
    rows_of,
    shard_arrays,
)
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_US

FORMAT: Final = "xstreamer-latents"
VERSION: Final = "1"
INDEX_NAME: Final = "latents.json"
SHARDS: Final = "*.safetensors"


@dataclass(frozen=True)
class ShardFacts:
    """What lies in a shard. Sums are over the latents' numbers, for each channel (D,)."""

    clips: int = 0
    chunks: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    """Chunks of each."""
    languages: dict[str, int] = field(default_factory=dict)
    """Clips in each."""
    latent_sum: list[float] = field(default_factory=list)
    latent_squares: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class LatentIndex:
    """What the index says: it is written last, so a folder that has one is whole."""

    layout: LatentLayout
    shards: dict[str, int]
    """Bytes of each file, in the order of their names."""
    clips: int
    seconds: float
    kinds: dict[str, int]
    languages: dict[str, int]
    latent_mean: list[float]
    """Over the whole dataset, (D,); near 0, as the spread is near 1, if the codec normalised."""
    latent_std: list[float]
    recipe: dict[str, Any]
    format: str = FORMAT
    version: str = VERSION

    @classmethod
    def read(cls, folder: Path) -> Self:
        """That of a dataset. Raises LatentsUnusable."""
        file = folder / INDEX_NAME
        try:
            facts = json.loads(file.read_text("utf-8"))
            layout = LatentLayout(**facts.pop("layout"))
            index = cls(layout=layout, **facts)
        except FileNotFoundError as error:
            raise LatentsUnusable(
                f"{folder} holds no finished dataset of latents: {INDEX_NAME} is missing"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LatentsUnusable(f"{file} is no index of latents ({error})") from error
        if (index.format, index.version) != (FORMAT, VERSION):
            raise LatentsUnusable(
                f"{file} is {index.format} {index.version}, this program reads {FORMAT} {VERSION}"
            )
        return index


def write_shard(file: Path, layout: LatentLayout, clips: Sequence[LatentClip]) -> None:
    """Write clips as one shard, whole or not at all, replacing it. Raises LatentsUnusable."""
    if not clips:
        raise LatentsUnusable(f"no clip for {file}")
    if file.suffix != ".safetensors":
        raise LatentsUnusable(f"{file} must end in .safetensors, as shards do")
    rows = [rows_of(clip, layout) for clip in clips]
    arrays = {  # safetensors writes memory as it lies, whatever the order of the axes is
        name: np.ascontiguousarray(np.concatenate([row[name] for row in rows])) for name in rows[0]
    }
    for name, counted in (("chunk_bounds", "latents"), ("text_bounds", "text")):
        lengths = [len(row[counted]) for row in rows]
        arrays[name] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "layout": json.dumps(asdict(layout)),
        "names": json.dumps([clip.name for clip in clips]),
        "facts": json.dumps(asdict(_facts_of(arrays))),
    }
    part = file.with_name(f"{file.name}.part")
    save_file(arrays, part, metadata)
    part.replace(file)


def finish_dataset(folder: Path, recipe: dict[str, Any]) -> LatentIndex:
    """Write the index of all shards in `folder`; `recipe` says how they were made.

    Raises LatentsUnusable where there are none, or one is damaged or of other sizes.
    """
    files = sorted(folder.glob(SHARDS))
    if not files:
        raise LatentsUnusable(f"{folder} holds no shards ({SHARDS})")
    layout, total = read_shard(files[0])[0], ShardFacts()
    for file in files:
        found, facts = read_shard(file)
        if found != layout:
            raise LatentsUnusable(f"{file} is made for {found}, {files[0].name} for {layout}")
        total = _added(total, facts)
    numbers = total.chunks * layout.tokens
    mean = np.array(total.latent_sum) / numbers
    variance = np.array(total.latent_squares) / numbers - mean**2
    index = LatentIndex(
        layout=layout,
        shards={file.name: file.stat().st_size for file in files},
        clips=total.clips,
        seconds=total.chunks * CHUNK_US / 1_000_000,
        kinds=total.kinds,
        languages=total.languages,
        latent_mean=mean.tolist(),
        latent_std=np.sqrt(variance.clip(min=0)).tolist(),
        recipe=recipe,
    )
    part = folder / f"{INDEX_NAME}.part"
    part.write_text(json.dumps(asdict(index), indent=1) + "\n", "utf-8")
    part.replace(folder / INDEX_NAME)
    return index


def read_shard(file: Path) -> tuple[LatentLayout, ShardFacts]:
    """What a shard says of itself, its header checked. Raises LatentsUnusable."""
    try:
        files = TensorFiles(file)
        if (files.metadata.get("format"), files.metadata.get("version")) != (FORMAT, VERSION):
            raise ValueError(f"it is no {FORMAT} {VERSION}")
        layout = LatentLayout(**json.loads(files.metadata["layout"]))
        facts = ShardFacts(**json.loads(files.metadata["facts"]))
        texts = files.shapes["text"][0]
        expected = {"languages": facts.clips, "reference": facts.clips}
        expected |= {"latents": facts.chunks, "kinds": facts.chunks}
        expected |= {"chunk_bounds": facts.clips + 1, "text_bounds": facts.clips + 1}
        expected |= {"audio": CHUNK_AUDIO_TOKENS * facts.chunks, "text": texts, "text_slots": texts}
        shapes = {name: (expected[name], *row) for name, (row, _) in shard_arrays(layout).items()}
        if wrong := [name for name, shape in shapes.items() if files.shapes[name] != shape]:
            raise ValueError(
                f"{wrong[0]} is {[*files.shapes[wrong[0]]]}, not {[*shapes[wrong[0]]]}"
            )
    except (TensorsUnreadable, ValueError, KeyError, TypeError) as error:
        raise LatentsUnusable(
            f"{file} is damaged, write it again ({error or type(error).__name__})"
        ) from error
    return layout, facts


def _facts_of(arrays: dict[str, NDArray[Any]]) -> ShardFacts:
    latents = arrays["latents"].astype(np.float64)
    return ShardFacts(
        clips=len(arrays["languages"]),
        chunks=len(latents),
        kinds=_counted(KINDS, arrays["kinds"]),
        languages=_counted(LANGUAGES, arrays["languages"]),
        latent_sum=latents.sum((0, 1)).tolist(),
        latent_squares=np.square(latents).sum((0, 1)).tolist(),
    )


def _counted(names: Sequence[str], places: NDArray[Any]) -> dict[str, int]:
    counts = np.bincount(places, minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _added(total: ShardFacts, more: ShardFacts) -> ShardFacts:
    """Both together, field by field."""
    sums: dict[str, Any] = {}
    for part in fields(ShardFacts):
        one, other = getattr(total, part.name), getattr(more, part.name)
        if isinstance(one, dict):
            names = sorted(one.keys() | other.keys())
            sums[part.name] = {name: one.get(name, 0) + other.get(name, 0) for name in names}
        elif isinstance(one, list):
            sums[part.name] = np.add(one, other).tolist() if one else other
        else:
            sums[part.name] = one + other
    return ShardFacts(**sums)
