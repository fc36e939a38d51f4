"""Cached clips on disk for an Actor of LTX latents: what its training reads, and nothing else.

A dataset is a folder of shards, which may be written one by one and by many programs, and the
index that `finish_dataset` makes of them. A shard is a safetensors file: the arrays of its clips,
one clip after the other, so that training maps the files and reads any crop.

Letters: Q clips, K chunks, T tokens of a chunk, R of the reference, D channels, S text states,
W width of a state of the Thinker.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors.numpy import save_file

from actor_server.errors import TensorsUnreadable
from actor_server.model.geometry import ActorGeometry
from actor_server.motion.conditioning import KINDS
from actor_server.tensor_files import TensorFiles
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_US, SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS

FORMAT: Final = "xstreamer-latents"
VERSION: Final = "1"
INDEX_NAME: Final = "latents.json"
SHARDS: Final = "*.safetensors"
LANGUAGES: Final = ("en", "zh")


class LatentsUnusable(ValueError):
    """Clips or a dataset that training cannot use; the text says which, why and what to do."""


@dataclass(frozen=True)
class LatentLayout:
    """Sizes that a dataset was made for."""

    tokens: int
    reference_tokens: int
    latent_dim: int
    state_width: int

    @classmethod
    def of(cls, geometry: ActorGeometry) -> Self:
        """Those of a model."""
        return cls(
            geometry.tokens,
            geometry.reference_tokens,
            geometry.latent_dim,
            geometry.sight.state_width,
        )


@dataclass(frozen=True)
class LatentClip:
    """Some seconds of one face and one voice, laid out for the Thinker as one turn of speech.

    reference (R, D): the portrait, and latents (K, T, D): normalised tokens of the video codec
    (`LatentSpace.tokens`). The codec's latent 0 shows a single frame and is no chunk: latents[0]
    is its latent 1, which shows frames 1 to 8.
    audio (4 K, W): the Thinker's state at each audio token, from the first frame of latents[0] on.
    text (S, W): its states at text tokens; text_slots (S,): their places, 13 to a segment of 26
    audio tokens, rising; segments count from the clip's first token.
    kinds (K,): places in KINDS; nothing is heard or read in chunks where nobody speaks.
    """

    name: str
    language: str
    reference: NDArray[np.floating[Any]]
    latents: NDArray[np.floating[Any]]
    audio: NDArray[np.floating[Any]]
    text: NDArray[np.floating[Any]]
    text_slots: NDArray[np.integer[Any]]
    kinds: NDArray[np.integer[Any]]


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


def shard_arrays(layout: LatentLayout) -> dict[str, tuple[tuple[int, ...], DTypeLike]]:
    """Shape of one row, and number type, of every array of a shard.

    The bounds have a row more than there are clips: clip q has chunks bounds[q] to bounds[q + 1].
    """
    return {
        "reference": ((layout.reference_tokens, layout.latent_dim), np.float16),
        "latents": ((layout.tokens, layout.latent_dim), np.float16),
        "kinds": ((), np.uint8),
        "audio": ((layout.state_width,), np.float16),
        "text": ((layout.state_width,), np.float16),
        "text_slots": ((), np.int32),
        "languages": ((), np.uint8),
        "chunk_bounds": ((), np.int64),
        "text_bounds": ((), np.int64),
    }


def write_shard(file: Path, layout: LatentLayout, clips: Sequence[LatentClip]) -> None:
    """Write clips as one shard, whole or not at all, replacing it. Raises LatentsUnusable."""
    if not clips:
        raise LatentsUnusable(f"no clip for {file}")
    if file.suffix != ".safetensors":
        raise LatentsUnusable(f"{file} must end in .safetensors, as shards do")
    rows = [_rows_of(clip, layout) for clip in clips]
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


def _rows_of(clip: LatentClip, layout: LatentLayout) -> dict[str, NDArray[Any]]:
    """A clip's part of the arrays. Raises LatentsUnusable, naming the clip."""

    def refuse(what: str) -> LatentsUnusable:
        return LatentsUnusable(f"clip {clip.name}: {what}")

    chunks, texts = len(clip.latents), len(clip.text)
    arrays = shard_arrays(layout)
    lengths = {"latents": chunks, "kinds": chunks, "audio": CHUNK_AUDIO_TOKENS * chunks}
    lengths |= {"text": texts, "text_slots": texts}
    shapes = {name: (count, *arrays[name][0]) for name, count in lengths.items()}
    rows: dict[str, NDArray[Any]] = {}
    for name, shape in (shapes | {"reference": arrays["reference"][0]}).items():
        given = np.asarray(getattr(clip, name))
        if given.shape != shape:
            raise refuse(f"{name} is {given.shape}, must be {shape}")
        with np.errstate(over="ignore"):
            rows[name] = given.astype(arrays[name][1])
        if not np.isfinite(rows[name]).all():
            raise refuse(f"{name} holds numbers that half precision cannot")
    if not chunks:
        raise refuse("it has no chunks")
    if clip.language not in LANGUAGES:
        raise refuse(f"language {clip.language!r} is none of {', '.join(LANGUAGES)}")
    kinds, slots = np.asarray(clip.kinds), np.asarray(clip.text_slots)
    if kinds.min() < 0 or kinds.max() >= len(KINDS):
        raise refuse(f"kinds must be places in {KINDS}")
    segments = -(-CHUNK_AUDIO_TOKENS * chunks // SEGMENT_AUDIO_TOKENS)
    room = segments * SEGMENT_TEXT_SLOTS
    if texts and (slots[0] < 0 or slots[-1] >= room or (np.diff(slots) <= 0).any()):
        raise refuse(f"text slots must rise from 0 to at most {room - 1} in {chunks} chunks")
    rows["reference"] = rows["reference"][None]
    rows["languages"] = np.array([LANGUAGES.index(clip.language)], np.uint8)
    return rows


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
