"""What a soak writes down, line by line as it happens, so that a crash loses nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

BROWSER = "browser"
MEASURING = "measuring"
NOT_OURS = (BROWSER, MEASURING)
"""Processes that the product does not bring."""


class SamplesUnusable(Exception):
    """The file holds no soak."""


class Line(BaseModel):
    """Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessUse(Line):
    """What processes of one name hold together. `cpu_s`: since they began.

    `heap_mb` are anonymous pages, swapped ones too: what leaks. `pss_mb` divides pages of files
    among all that use them, so it jumps when another program begins or ends to use a library.
    """

    processes: int
    heap_mb: float
    pss_mb: float
    rss_mb: float
    handles: int
    threads: int
    cpu_s: float


class Reception(Line):
    """What the browser got since the last sample. Offsets: picture late against speech.

    `av_offsets_ms`: every reading. `sound_held_ms`, `picture_held_ms`: for how long each lay in the
    browser's jitter buffer, in the mean. Soaks of before did not keep these (None).
    """

    fps: float | None
    freezes: int
    frozen_ms: float
    concealed_ms: float
    packets_lost: int
    av_offset_ms: float | None
    av_offset_abs_p95_ms: float | None
    av_offsets_ms: list[float] | None = None
    sound_held_ms: float | None = None
    picture_held_ms: float | None = None


class Likeness(Line):
    """One received frame. `portrait`, `first`: cosine with the portrait, with the first frame."""

    portrait: float
    first: float
    sharpness: float


class Unanswered(Line):
    """A question without an answer."""

    at_s: float
    question: str


class Sample(Line):
    """Half a minute. `at_s`: since the call began. `cost_s`: CPU time that this sample took.

    `asked`, `barge_ins`, `restarts` and `incidents` count from the call's beginning, all else since
    the last sample. `stolen`: share of the processors' time since then that the host took.
    """

    at_s: float
    processes: dict[str, ProcessUse]
    reception: Reception
    likeness: Likeness | None
    asked: int
    barge_ins: int
    unanswered: list[Unanswered]
    voice_to_face_ms: list[float]
    outcomes: dict[str, int]
    restarts: int
    incidents: dict[str, int]
    cost_s: float
    stolen: float | None = None

    @property
    def product(self) -> dict[str, ProcessUse]:
        """The product's own processes."""
        return {name: use for name, use in self.processes.items() if name not in NOT_OURS}


class About(Line):
    """The first line: what is measured, on what."""

    machine: dict[str, Any]
    preset: str
    avatar: str
    brain: str
    hours: float


class End(Line):
    """The last line, where the soak could still write one."""

    reason: str


@dataclass(frozen=True)
class Soak:
    """A whole file."""

    about: About
    samples: Sequence[Sample]
    end: str


CUT_OFF = "the measuring was cut off"


class Journal:
    """Appends lines to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def write(self, line: About | Sample | End) -> None:
        """Append a line; it is on the disk when this returns, or at least the system's to write."""
        with self.path.open("a") as file:
            file.write(line.model_dump_json() + "\n")


def read(path: Path) -> Soak:
    """Read what was written, a last line cut in half left out. Raises SamplesUnusable."""
    try:
        first, *others = path.read_text().splitlines()
        about = About.model_validate_json(first)
    except (OSError, ValueError) as error:
        raise SamplesUnusable(f"{path} does not begin as the samples of a soak do") from error
    samples, end = [], CUT_OFF
    for at, line in enumerate(others):
        try:
            if line.startswith('{"reason"'):
                end = End.model_validate_json(line).reason
            else:
                samples.append(Sample.model_validate_json(line))
        except ValidationError as error:
            if at < len(others) - 1:
                raise SamplesUnusable(f"{path}: line {at + 2} is no sample: {error}") from error
    if not samples:
        raise SamplesUnusable(f"{path} ends before the first sample")
    return Soak(about, samples, end)
