"""Subprocesses of the bootstrap: logged, watched line by line, all stopped together."""

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TAIL_LINES = 40
Watch = Callable[[str], None]


class StepError(Exception):
    """A step of the set-up failed; the text says what and how to go on."""


class Shell:
    """Runs commands for several threads; `stop` ends whatever runs."""

    def __init__(self, log_dir: Path, environ: Mapping[str, str]) -> None:
        self._log_dir = log_dir
        self._environ = dict(environ)
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        log_dir.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        step: str,
        command: Sequence[str | Path],
        watch: Watch,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run to the end, every line to the step's log and to `watch`; the output comes back.

        Raises: StepError with the last lines when the command fails.
        """
        argv = [str(part) for part in command]
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        log_file = self._log_dir / f"{step}.log"
        with log_file.open("a") as log, self._start(argv, cwd, env or {}) as process:
            log.write(f"$ {' '.join(argv)}\n")
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if text := line.strip():
                    tail.append(text)
                    watch(text)
        with self._lock:
            self._running.discard(process)
        if process.returncode != 0:
            raise StepError(
                f"{argv[0]} ended with status {process.returncode}; last lines "
                f"(all of them: {log_file}):\n    " + "\n    ".join(tail)
            )
        return "\n".join(tail)

    def _start(
        self, argv: Sequence[str], cwd: Path | None, env: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise StepError("stopped")
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env={**self._environ, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise StepError(f"cannot run {argv[0]}: {error.strerror}") from error
            self._running.add(process)
            return process

    def stop(self) -> None:
        """End every running command with its children; nothing starts any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
