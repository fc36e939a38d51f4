"""The dataset on disk: for each split one .npy per field, chunk after chunk of all sequences.

Chunk-major and uncompressed, so that training maps the files and reads crops of any length.
Dimension letters are those of `actor_server.motion.conditioning`; N chunks, Q sequences.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from actor_server.motion.conditioning import (
    CUE_NUMBERS,
    FEATURE_DIM,
    HEARD_SLOTS,
    PHONE_BINS,
    TEXT_SLOTS,
    ConditionArrays,
    Visibility,
)
from actor_server.motion.source import CHUNK_LATENTS, Floats
from proto.time_law import CHUNK_FRAMES

SplitName = Literal["train", "held_out", "judge"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "held_out", "judge")
SOURCES: Final = ("grid", "spoken", "mixed")
"""Source ids are places in this tuple: GRID's motion, one long reply, a call with pauses."""
CONDITION_FIELDS: Final = (
    *("audio", "audio_seen", "phones", "heard", "heard_seen", "text", "text_seen", "text_at"),
    *("kind", "cues"),
)
"""The fields of ConditionArrays, one array each."""
INDEX_NAME: Final = "dataset.json"
SEQUENCES_NAME: Final = "sequences.npy"
VOICES_NAME: Final = "voices.json"
"""The voice of each sequence, empty where it has no name."""


def field_layout(sight: Visibility) -> dict[str, tuple[tuple[int, ...], DTypeLike]]:
    """Shape of one chunk and number type of every field."""
    slots = sight.slots
    return {
        "latents": (CHUNK_LATENTS, np.float32),
        "trusted": (CHUNK_LATENTS, np.bool_),
        "audio": ((slots, FEATURE_DIM), np.float16),
        "audio_seen": ((slots,), np.bool_),
        "phones": ((slots, PHONE_BINS), np.uint8),
        "heard": ((HEARD_SLOTS, FEATURE_DIM), np.float16),
        "heard_seen": ((HEARD_SLOTS,), np.bool_),
        "text": ((TEXT_SLOTS, sight.state_width), np.float16),
        "text_seen": ((TEXT_SLOTS,), np.bool_),
        "text_at": ((TEXT_SLOTS,), np.float32),
        "kind": ((), np.uint8),
        "cues": ((CHUNK_FRAMES, CUE_NUMBERS), np.float16),
    }


@dataclass(frozen=True)
class Sequence:
    """Some seconds of one face: `latents` and `trusted` (n, 8, 31), n conditions."""

    source: str
    latents: Floats
    trusted: NDArray[np.bool_]
    conditions: list[ConditionArrays]
    voice: str = ""
    """Whose the speech is, where it has a name."""


@dataclass(frozen=True)
class DatasetIndex:
    """What `dataset.json` says. Statistics are over the trusted numbers of `train`, (31,)."""

    visibility: Visibility
    latent_mean: list[float]
    latent_std: list[float]
    chunks: dict[str, dict[str, int]]
    """Chunks by split and source."""
    sources: tuple[str, ...] = SOURCES
    recipe: dict[str, Any] = field(default_factory=dict)
    """Seeds, sizes and names that made this dataset."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it. Raises FileNotFoundError where no dataset was finished."""
        fields = json.loads((folder / INDEX_NAME).read_text())
        fields["visibility"] = Visibility(**fields["visibility"])
        fields["sources"] = tuple(fields["sources"])
        return cls(**fields)

    def write(self, folder: Path) -> None:
        """Write it last: a folder with an index is whole."""
        (folder / INDEX_NAME).write_text(json.dumps(asdict(self), indent=1) + "\n")


class SplitWriter:
    """Appends sequences to one split; the arrays grow on disk, not in memory."""

    def __init__(self, folder: Path, sight: Visibility) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._layout = field_layout(sight)
        self._files: dict[str, BinaryIO] = {}
        self._rows: list[tuple[int, int, int]] = []
        self._voices: list[str] = []
        self.chunks = 0
        for name in self._layout:
            self._files[name] = (folder / f"{name}.npy").open("wb")
            self._write_header(name)

    def append(self, sequence: Sequence) -> None:
        """Write one sequence. Raises ValueError when its arrays do not fit the layout."""
        count = len(sequence.conditions)
        columns = {
            name: np.stack([getattr(row, name) for row in sequence.conditions])
            for name in CONDITION_FIELDS
        }
        columns |= {"latents": sequence.latents, "trusted": sequence.trusted}
        for name, (shape, _) in self._layout.items():
            if columns[name].shape != (count, *shape):
                raise ValueError(f"{name} is {columns[name].shape}, must be {(count, *shape)}")
        for name, (_, dtype) in self._layout.items():
            self._files[name].write(np.ascontiguousarray(columns[name], dtype).tobytes())
        self._rows.append((self.chunks, count, SOURCES.index(sequence.source)))
        self._voices.append(sequence.voice)
        self.chunks += count

    def close(self) -> None:
        """Write the lengths into the headers, and the table of sequences."""
        for name, file in self._files.items():
            self._write_header(name)
            file.close()
        rows = np.array(self._rows, np.int64).reshape(-1, 3)
        np.save(self._folder / SEQUENCES_NAME, rows)
        (self._folder / VOICES_NAME).write_text(json.dumps(self._voices) + "\n")

    def _write_header(self, name: str) -> None:
        """NumPy pads headers so that the first axis may grow in place."""
        shape, dtype = self._layout[name]
        described = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": (self.chunks, *shape),
        }
        self._files[name].seek(0)
        np.lib.format.write_array_header_1_0(self._files[name], described)


@dataclass(frozen=True)
class Split:
    """One split, mapped: `fields[name]` (N, ...) as in `field_layout`, `sequences` (Q, 3).

    `voices`: of each sequence; all empty in a dataset that was built before they were kept.
    """

    fields: dict[str, NDArray[Any]]
    sequences: NDArray[np.int64]
    voices: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path, name: SplitName) -> Self:
        """Map a split of a finished dataset.

        Raises FileNotFoundError, also where it was built before a field of today's existed.
        """
        layout = field_layout(DatasetIndex.read(folder).visibility)
        if lacking := [field for field in layout if not (folder / name / f"{field}.npy").exists()]:
            raise FileNotFoundError(
                f"{folder / name} lacks {', '.join(lacking)}: build the dataset again "
                "(--recited takes the speech that was recited for it)"
            )
        sequences = np.load(folder / name / SEQUENCES_NAME)
        # an empty file cannot be mapped
        mode: Literal["r"] | None = "r" if len(sequences) else None
        fields = {
            field: np.load(folder / name / f"{field}.npy", mmap_mode=mode) for field in layout
        }
        told = folder / name / VOICES_NAME
        voices = json.loads(told.read_text()) if told.exists() else [""] * len(sequences)
        return cls(fields, sequences, tuple(voices))
