"""What judges clips, one small protocol for each step, and where a TOML file names them.

[lip_sync]
lips = "models/syncnet-lips.onnx"     # arguments of the judge's constructor
sound = "models/syncnet-sound.onnx"
use = "my_package.judges:MyLipSync"   # another judge than the one that comes with the step
processes = 2                         # that hold the judge; 0: any process makes it anew
gpus = 0.5                            # of each
cpus = 1
"""

import importlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from actor_server.training.curation.clip import Clip
from actor_server.training.curation.media import Picture, Sound

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


class ModelsUnusable(ValueError):
    """The TOML file, or a model that it names, cannot be used; the text says which and why."""


class SceneCutter(Protocol):
    """Finds where one camera shot ends and the next begins."""

    def scenes(self, video: Path) -> list[tuple[float, float]]:
        """Begin and end of each, seconds. Raises ClipUnusable."""


class LipSyncJudge(Protocol):
    """Says how surely lips and sound belong together."""

    def score(self, clip: Clip) -> float:
        """SyncNet's confidence; higher is better."""


class PersonCounter(Protocol):
    """Counts people in pictures."""

    def count(self, picture: Picture) -> int:
        """How many people are visible in (H, W, 3), RGB."""


class FaceFinder(Protocol):
    """Finds faces in pictures."""

    def faces(self, picture: Picture) -> list[Box]:
        """From forehead to chin, of (H, W, 3), RGB."""


class QualityJudge(Protocol):
    """Says how good pictures look."""

    def score(self, picture: Picture) -> float:
        """Mean opinion of (H, W, 3), RGB: 0 to 100."""


class TextFinder(Protocol):
    """Finds writing in pictures."""

    def pieces(self, picture: Picture) -> int:
        """How many pieces of text or watermarks (H, W, 3), RGB, shows."""


class Denoiser(Protocol):
    """Takes everything but speech out of sound."""

    @property
    def rate_hz(self) -> int:
        """Of the sound that it takes and gives."""

    def denoise(self, sound: Sound) -> Sound:
        """(S,) to (S,), mono, -1..1."""


class Transcriber(Protocol):
    """Writes down what is said."""

    def transcribe(self, speech: Sound) -> tuple[str, str]:
        """Language, as ISO 639-1 names it, and words of (S,), 16 kHz."""


class Embedder(Protocol):
    """Makes what training reads of clips."""

    def write(self, clips: Sequence[Clip], shard: Path) -> Mapping[str, str]:
        """Write a shard of a dataset, or none; by name, why a clip is not in it."""


@dataclass(frozen=True)
class JudgeTable:
    """A table of the TOML file: which judge, its arguments, and where it runs.

    processes: that hold the judge; 0 for one that is made anew for each batch, wherever there is
    room.
    """

    use: str
    arguments: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    gpus: float = 0
    cpus: float = 1

    @classmethod
    def read(cls, step: str, own: str, table: Mapping[str, Any]) -> Self:
        """That of a step whose `own` judge may be replaced. Raises ModelsUnusable."""
        arguments = dict(table)
        use = arguments.pop("use", own)
        processes = arguments.pop("processes", 1)
        gpus, cpus = arguments.pop("gpus", 0), arguments.pop("cpus", 1)
        if not isinstance(use, str) or use.count(":") != 1:
            raise ModelsUnusable(f"[{step}] use = {use!r}, must be package.module:Class")
        if not isinstance(processes, int):
            raise ModelsUnusable(f"[{step}] processes = {processes!r}, must be a whole number")
        for name, share in (("processes", processes), ("gpus", gpus), ("cpus", cpus)):
            if not isinstance(share, int | float) or share < 0:
                raise ModelsUnusable(f"[{step}] {name} = {share!r}, must be a number from 0 on")
        return cls(use, arguments, processes, gpus, cpus)

    def make(self, step: str) -> Any:
        """The judge. Raises ModelsUnusable."""
        return make(f"[{step}]", self.use, self.arguments)


def make(where: str, use: str, arguments: Mapping[str, Any]) -> Any:
    """An object of class `package.module:Class`. Raises ModelsUnusable, beginning with `where`."""
    module, _, name = use.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelsUnusable(f"{where} {use} cannot be imported ({error})") from error
    try:
        return kind(**arguments)
    except (OSError, TypeError, ValueError, ModuleNotFoundError) as error:
        given = ", ".join(arguments) or "no arguments"
        raise ModelsUnusable(f"{where} {use} cannot be made with {given}: {error}") from error


def read_tables(file: Path) -> dict[str, Any]:
    """The TOML file. Raises ModelsUnusable."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelsUnusable(f"{file} cannot be read ({error})") from error
