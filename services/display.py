"""What a person sees while things start or download."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from services.supervisor.credentials import provenance_problem
from services.supervisor.livekit_config import network_address
from services.supervisor.plan import Machine

MAX_STATE_CHARACTERS = 100


class StartDisplay:
    """One row a process while starting; plain lines of changes where there is no terminal."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._states: dict[str, str] = {}
        self._started_s = time.monotonic()

    def report(self, process: str, state: str) -> None:
        """A process is now in this state."""
        state = " ".join(state.split())[:MAX_STATE_CHARACTERS]
        if self._states.get(process) == state:
            return
        self._states[process] = state
        if self._live is not None and self._live.is_started:
            self._live.update(self._table())
        else:
            self._console.print(Text(f"[{process}] {state}"), soft_wrap=True)

    def ready(self, machine: Machine) -> None:
        """Everything is up: say where."""
        if self._live is not None:
            self._live.stop()
        seconds = time.monotonic() - self._started_s
        self._say(f"\nX-Streamer is ready after {seconds:.0f} s.")
        if problem := provenance_problem(machine.settings, machine.provenance_key):
            self._console.print(Text(problem, style="yellow"), soft_wrap=True)
        runs = machine.settings.only
        if "gateway" not in runs:
            self._say(f"Here run {', '.join(runs)}. Ctrl-C stops them.")
            return
        gateway = machine.settings.gateway
        key = f"/#key={machine.page_key}" if machine.page_key else ""
        self._say(f"Open [bold]{machine.url}{key}[/]")
        if not gateway.is_local:
            url = f"{machine.scheme}://{network_address()}:{gateway.port}"
            self._say(f"From other machines: [bold]{url}{key}[/]")
        if key:
            self._say("Whoever has this address may do everything, until the next start.")
        elif gateway.wants_keys:
            self._say("The page asks for a key: `admin_key`, or one of `xstreamer keys create`.")
        self._console.print("Ctrl-C stops everything.")

    def _say(self, text: str) -> None:
        """Addresses stay whole, to be clicked on and copied."""
        self._console.print(text, soft_wrap=True, highlight=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for process, state in self._states.items():
            style = "green" if state == "ready" else "yellow"
            table.add_row(Text(f"  {process}", style="bold"), Text(state, style=style))
        return table


@contextmanager
def start_display(console: Console) -> Iterator[StartDisplay]:
    """Live on a terminal, plain otherwise."""
    if not console.is_terminal:
        yield StartDisplay(console, None)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield StartDisplay(console, live)


class AssetBars:
    """One progress bar a file."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def report(self, name: str, done: int, total: int) -> None:
        """So many bytes of a file are here."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._progress.console.print(Text(text))
