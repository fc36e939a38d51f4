"""A machine of the benchmark's own: the supervisor in a process, with data of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_WITHIN_S = 300.0
STOP_WITHIN_S = 30.0
POLL_S = 0.2
LONGEST_CALL_S = 7 * 24 * 3600


class StackFailed(Exception):
    """The machine did not start."""


@dataclass(frozen=True)
class OwnStack:
    """A running machine: the address of its page, and the environment that commands need for it."""

    url: str
    environment: dict[str, str]


@contextmanager
def own_stack(preset: str) -> Iterator[OwnStack]:
    """Start everything as `make run` does, say where it is, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="xstreamer-bench-") as data:
        state, console = Path(data) / "supervisor.json", Path(data) / "console.log"
        command = [sys.executable, "-m", "services.cli", "up", "--preset", preset]
        environment = {
            **os.environ,
            "XSTREAMER_DATA": data,
            # a benchmark finds out itself how many calls fit, and for how long
            "XSTREAMER_GATEWAY_MEASURED_CAPACITY": "false",
            "XSTREAMER_GATEWAY_ROOM_TTL_S": str(LONGEST_CALL_S),
        }
        with console.open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield OwnStack(_await_ready(process, state, console), environment)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_WITHIN_S)


def _await_ready(process: subprocess.Popen[bytes], state: Path, console: Path) -> str:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StackFailed(
                f"the machine did not start; measure a running one with --url.\n"
                f"{console.read_text(errors='replace')}"
            )
        if state.exists() and (told := json.loads(state.read_text()))["ready"]:
            return str(told["url"])
        time.sleep(POLL_S)
    raise StackFailed(
        f"the machine was not ready within {START_WITHIN_S:.0f} s; see `xstreamer doctor`"
    )
