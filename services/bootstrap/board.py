"""Progress of several steps at once: live lines on a terminal, plain lines in a log."""

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

REDRAW_S = 0.2
PLAIN_PERIOD_S = 20.0
SPINNER = "|/-\\"


@dataclass
class _Line:
    text: str = "waiting"
    mark: str = "."
    started_s: float | None = None
    ended_s: float | None = None

    def elapsed(self) -> str:
        if self.started_s is None:
            return ""
        return f"{(self.ended_s or time.monotonic()) - self.started_s:5.0f} s"


@dataclass
class Board:
    """One line a step. Any thread may report; one thread draws."""

    steps: Sequence[str]
    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def __post_init__(self) -> None:
        self._lines = {step: _Line() for step in self.steps}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._live = self.stream.isatty()
        self._drawn = 0
        self._thread = threading.Thread(target=self._draw_forever, daemon=True)

    def __enter__(self) -> "Board":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._live:
            self._redraw(0)

    def started(self, step: str) -> None:
        """The step's clock runs from now."""
        with self._lock:
            self._lines[step] = _Line("", "*", time.monotonic())
        self._say(step, "started")

    def report(self, step: str, text: str) -> None:
        """What the step does now, in a few words."""
        with self._lock:
            self._lines[step].text = text

    def ended(self, step: str, text: str, *, ok: bool) -> None:
        """The step is over."""
        with self._lock:
            line = self._lines[step]
            line.text, line.mark, line.ended_s = text, "ok" if ok else "!!", time.monotonic()
        self._say(step, f"{'done' if ok else 'FAILED'} after {line.elapsed().strip()}: {text}")

    def _say(self, step: str, text: str) -> None:
        if not self._live:
            self.stream.write(f"[{step}] {text}\n")
            self.stream.flush()

    def _draw_forever(self) -> None:
        turn = 0
        while not self._done.wait(REDRAW_S if self._live else PLAIN_PERIOD_S):
            turn += 1
            if self._live:
                self._redraw(turn)
            else:
                self._say_running()

    def _say_running(self) -> None:
        with self._lock:
            running = [(s, x) for s, x in self._lines.items() if x.mark == "*"]
        for step, line in running:
            self._say(step, f"{line.elapsed().strip()}: {line.text}")

    def _redraw(self, turn: int) -> None:
        width = shutil.get_terminal_size().columns
        with self._lock:
            rows = [self._row(step, line, turn)[: width - 1] for step, line in self._lines.items()]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self.stream.write(up + "".join(f"\x1b[2K{row}\n" for row in rows))
        self.stream.flush()
        self._drawn = len(rows)

    def _row(self, step: str, line: _Line, turn: int) -> str:
        mark = SPINNER[turn % len(SPINNER)] if line.mark == "*" else line.mark
        name_width = max(map(len, self.steps))
        return f" {mark:>2}  {step:<{name_width}}  {line.elapsed():>7}  {line.text}"
