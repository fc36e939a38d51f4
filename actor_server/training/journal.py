"""What a run says about itself: a bar for a person, lines for a file, TensorBoard when asked."""

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FIGURES_NAME: Final = "figures.jsonl"


class Journal:
    """Shows progress and keeps figures in `figures.jsonl` of the run's folder."""

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self._file = (folder / FIGURES_NAME).open("a")
        self._board = _board(folder) if tensorboard else None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(show_speed=False),
            TimeElapsedColumn(),
        )
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def show(self, progress: float, text: str) -> None:
        """Move the bar; `progress` is the share of the budget that is spent."""
        self._bar.update(self._task, completed=min(progress, 1.0), description=text)

    def record(self, step: int, figures: dict[str, float]) -> None:
        """Keep figures of a step, and print them."""
        rounded = {name: float(f"{value:.5g}") for name, value in figures.items()}
        self._file.write(json.dumps({"step": step, **rounded}) + "\n")
        self._file.flush()
        shown = "  ".join(f"{name} {value:.4g}" for name, value in rounded.items())
        self._bar.console.print(f"step {step}: {shown}", highlight=False, soft_wrap=True)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)


def _board(folder: Path) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SystemExit(
            "--tensorboard needs the training packages: .bootstrap/bin/uv sync --group train"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
