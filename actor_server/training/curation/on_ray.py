"""Steps on Ray Data: batches of clips go to processes that hold the step's model.

Ray runs on this machine alone, without dashboard or usage reports, from the first step that has
something to do until the end; or the cluster of `address` is used, whose machines must see the same
files under the same names.
"""

import logging
import os
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from rich.progress import track

from actor_server.training.curation.judges import ModelsUnusable
from actor_server.training.curation.pipeline import StepRun, Worker


class StepFailed(RuntimeError):
    """A step could not be done; the text is what its worker said last."""


class OnRay:
    """A Spread. Rows of a step that fails are lost, those of steps before it are not."""

    def __init__(self, cpus: int | None = None, address: str | None = None) -> None:
        """`cpus` of this machine, or all; they are those of the cluster if it has an `address`."""
        self._settings: dict[str, Any] = {"address": address}
        if address is None:
            self._settings = {"num_cpus": cpus, "include_dashboard": False}
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._started:
            import ray

            ray.shutdown()

    def __call__(self, run: StepRun, tables: list[pa.Table]) -> Iterator[pa.Table]:
        """What came of the tables, in any order. Raises StepFailed, ModelsUnusable."""
        self._start()
        import ray
        from ray.exceptions import RayError

        table = run.table
        _check_room(run, ray.cluster_resources())  # type: ignore[no-untyped-call]
        how: dict[str, Any] = {"batch_size": None, "batch_format": "pyarrow"}
        how |= {"num_cpus": table.cpus, "num_gpus": table.gpus}
        clips = ray.data.from_arrow(tables)
        if table.processes:
            most = min(table.processes, len(tables))
            pool = ray.data.ActorPoolStrategy(min_size=1, max_size=most)
            judged = clips.map_batches(Worker, fn_constructor_args=(run,), compute=pool, **how)
        else:
            judged = clips.map_batches(partial(_work, run), **how)
        done = judged.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        try:
            yield from track(done, run.step, len(tables), transient=True)
        except RayError as error:
            raise StepFailed(f"step {run.step}: {_reason(error)}") from error

    def _start(self) -> None:
        """Ray takes seconds to import and to start: only where there is something to do."""
        if self._started:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.WARNING)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True
        ray.init(**self._settings, logging_level=logging.ERROR, log_to_driver=False)
        self._started = True


def _reason(error: Exception) -> str:
    """What went wrong in a worker, without what Ray advises to do about it."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {cause}".split("\nFailed to ", 1)[0]


def _work(run: StepRun, table: pa.Table) -> pa.Table:
    """What a process does that holds no judge."""
    return Worker(run)(table)


def _check_room(run: StepRun, resources: dict[str, float]) -> None:
    """Ray would wait for ever for what it never gets. Raises ModelsUnusable."""
    for name, wanted in (("CPU", run.table.cpus), ("GPU", run.table.gpus)):
        if wanted > (there := resources.get(name, 0)):
            raise ModelsUnusable(
                f"[{run.step}] {name.lower()}s = {wanted:g}, but Ray has {there:g} {name}s"
            )
