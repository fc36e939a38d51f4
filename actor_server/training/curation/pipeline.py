"""The steps one after the other, each kept in OUT/<step>/ and not done again while it is valid.

`rows.parquet` holds a row for each clip that entered the step, `done.json` is written last. It
bears a fingerprint of the step's judge, of its arguments and the files that they name, of the
criteria that it heeds, and of the step before; the first one's is of the videos. Where it differs,
or there is none, the step and all after it are done anew.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from actor_server.training.curation.clip import SCHEMA, Clip, clips_of, table_of
from actor_server.training.curation.criteria import Criteria
from actor_server.training.curation.judges import JudgeTable
from actor_server.training.curation.steps import STEPS, Step
from actor_server.training.video_clips import VIDEO_KINDS
from proto.time_law import FRAMES_PER_SECOND

ROWS_NAME: Final = "rows.parquet"
DONE_NAME: Final = "done.json"
RUN_NAME: Final = "curation.json"


class FolderUnusable(ValueError):
    """The folder of videos, or the one to write into, cannot be used; the text says why."""


@dataclass(frozen=True)
class StepRun:
    """What a process needs to know to do a step's work."""

    step: str
    table: JudgeTable
    criteria: Criteria
    folder: Path


class Worker:
    """Holds a step's model and does its work: clips as a table to what came of them."""

    def __init__(self, run: StepRun) -> None:
        self._run = run
        self._step = next(step for step in STEPS if step.name == run.step)

    @cached_property
    def _judge(self) -> Any:
        """Loaded with the first clips, where an error ends the step with its reason."""
        return self._run.table.make(self._run.step)

    def __call__(self, table: pa.Table) -> pa.Table:
        run = self._run
        return table_of(
            list(self._step.work(self._judge, clips_of(table), run.criteria, run.folder))
        )


Spread = Callable[[StepRun, list[pa.Table]], Iterable[pa.Table]]
"""Has workers do a step's work on tables, in any order."""


@dataclass(frozen=True)
class Plan:
    """What to curate, how and where to; a table of judges for each step."""

    videos: Path
    out: Path
    criteria: Criteria
    judges: dict[str, JudgeTable]


@dataclass(frozen=True)
class StepReport:
    """What became of a step's clips. `fresh`: it was done now, not before."""

    step: str
    entered: int
    kept: int
    kept_hours: float
    fresh: bool


def curate(plan: Plan, spread: Spread) -> Iterator[StepReport]:
    """Do what is not done yet; one report after each step. Raises FolderUnusable."""
    videos = videos_in(plan.videos)
    _claim(plan)
    print_before = _print_of([[video.name, *_stamp(Path(video.video))] for video in videos])
    kept = table_of(videos)
    for place, step in enumerate(STEPS):
        folder = plan.out / step.name
        print_now = _print_of([print_before, *_facts(plan, step)])
        fresh = _read_done(folder).get("fingerprint") != print_now
        if fresh:
            for stale in STEPS[place:]:
                shutil.rmtree(plan.out / stale.name, ignore_errors=True)
            _do(plan, step, kept, spread)
            (folder / DONE_NAME).write_text(json.dumps({"fingerprint": print_now}) + "\n")
        yield _report(step, folder, fresh)
        print_before, kept = print_now, kept_rows(folder)


def videos_in(folder: Path) -> list[Clip]:
    """The videos below a folder, each as a clip that begins nowhere. Raises FolderUnusable."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in VIDEO_KINDS)
    if not files:
        raise FolderUnusable(f"{folder} holds no videos ({', '.join(VIDEO_KINDS)})")
    return [Clip(str(file.relative_to(folder)), str(file.resolve()), 0, 0) for file in files]


def kept_rows(folder: Path) -> pa.Table:
    """The clips that a finished step did not reject, in the order of their names."""
    table = pq.read_table(folder / ROWS_NAME)
    return table.filter(pc.is_null(table["rejected"])).sort_by("name")


def _do(plan: Plan, step: Step, clips: pa.Table, spread: Spread) -> None:
    """Do a step; its rows are there when this returns."""
    folder = plan.out / step.name
    folder.mkdir()
    batches = clips.combine_chunks().to_batches(max_chunksize=step.batch)
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    run = StepRun(step.name, plan.judges[step.name], plan.criteria, folder.resolve())
    with pq.ParquetWriter(folder / ROWS_NAME, SCHEMA) as rows:
        for table in spread(run, tables) if tables else ():
            rows.write_table(table.cast(SCHEMA))
    if step.finish is not None:
        step.finish(folder, _recipe(plan))


def _recipe(plan: Plan) -> dict[str, Any]:
    """How the clips were chosen, in words that JSON can hold."""
    criteria = {name: str(value) for name, value in vars(plan.criteria).items()}
    return {
        "criteria": criteria,
        "judges": {name: vars(table) for name, table in plan.judges.items()},
    }


def _claim(plan: Plan) -> None:
    """Make the folder a run's own: what lies in it may be replaced. Raises FolderUnusable."""
    mark = plan.out / RUN_NAME
    if plan.out.is_dir() and any(plan.out.iterdir()) and not mark.is_file():
        raise FolderUnusable(f"{plan.out} holds other files: name a folder that is empty or new")
    plan.out.mkdir(parents=True, exist_ok=True)
    facts = {"videos": str(plan.videos), **_recipe(plan)}
    mark.write_text(json.dumps(facts, indent=1) + "\n")


def _facts(plan: Plan, step: Step) -> list[Any]:
    """Everything that a step's rows depend on, beside the clips that enter it."""
    table = plan.judges[step.name]
    criteria = {name: str(getattr(plan.criteria, name)) for name in step.criteria}
    return [step.name, table.use, table.arguments, _stamps(table.arguments), criteria]


def _stamps(arguments: Any) -> list[Any]:
    """Sizes and times of the files and folders that arguments name."""
    if isinstance(arguments, dict):
        return [stamp for value in arguments.values() for stamp in _stamps(value)]
    named = Path(arguments) if isinstance(arguments, str) else None
    if named is None or not named.exists():
        return []
    files = sorted(named.rglob("*")) if named.is_dir() else [named]
    return [[str(file), *_stamp(file)] for file in files if file.is_file()]


def _stamp(file: Path) -> list[int]:
    facts = file.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _print_of(facts: Any) -> str:
    return sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _read_done(folder: Path) -> dict[str, Any]:
    try:
        done = json.loads((folder / DONE_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return done if isinstance(done, dict) else {}


def _report(step: Step, folder: Path, fresh: bool) -> StepReport:
    table = pq.read_table(folder / ROWS_NAME, columns=["frames", "rejected"])
    kept = table.filter(pc.is_null(table["rejected"]))
    hours = (pc.sum(kept["frames"]).as_py() or 0) / FRAMES_PER_SECOND / 3600
    return StepReport(step.name, len(table), len(kept), hours, fresh)
