"""The supervisor's files: data (kept), logs, and a short-lived runtime directory for sockets."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SOCKET_PATH_BYTES = 100
"""A unix socket's path must fit 108 bytes with its terminator (unix(7)); some are kept free."""
KEEP_LOG_BYTES = 20_000_000


class AlreadyRunning(Exception):
    """Another supervisor uses the same data directory."""


@dataclass(frozen=True)
class Directories:
    """Where one supervisor keeps its files."""

    data: Path
    runtime: Path

    @property
    def state_file(self) -> Path:
        """What runs, for `xstreamer status`."""
        return state_file(self.data)

    def log(self, process: str) -> Path:
        """A process's log file."""
        return self.data / "logs" / f"{process}.log"

    def endpoint(self, process: str) -> str:
        """The ZeroMQ address of an engine on this machine."""
        return f"ipc://{self.runtime / process}.sock"


def state_file(data: Path) -> Path:
    """Where a supervisor with this data directory tells what runs."""
    return data / "supervisor.json"


@contextmanager
def opened(data: Path, environ: Mapping[str, str]) -> Iterator[Directories]:
    """Create the directories and hold the data directory for ourselves.

    Raises: AlreadyRunning.
    """
    (data / "logs").mkdir(parents=True, exist_ok=True)
    with (data / "supervisor.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_state(data).get("pid", "unknown")
            raise AlreadyRunning(
                f"X-Streamer already runs on {data} (process {pid}). Stop it with Ctrl-C or "
                f"`kill {pid}`, or give this one its own directory: XSTREAMER_DATA=<directory>"
            ) from None
        runtime = _runtime_directory(environ)
        try:
            yield Directories(data, runtime)
        finally:
            shutil.rmtree(runtime, ignore_errors=True)
            state_file(data).unlink(missing_ok=True)


def _runtime_directory(environ: Mapping[str, str]) -> Path:
    """Private and short: inside XDG_RUNTIME_DIR or the temporary directory, else /tmp."""
    for parent in (environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        usable = parent and os.access(parent, os.W_OK)
        if parent and usable and len(parent.encode()) < MAX_SOCKET_PATH_BYTES - 40:
            return Path(tempfile.mkdtemp(prefix="xstreamer-", dir=parent))
    raise OSError("no writable temporary directory for sockets; set XDG_RUNTIME_DIR")


def shorten_log(log: Path) -> None:
    """Begin a large one anew; what was in it is kept once, as `.log.1`.

    Its process goes on: it appends (O_APPEND), so what it writes next is the first line of the
    emptied file. Lines that come between copying and emptying are lost. Raises OSError.
    """
    with suppress(FileNotFoundError):
        if log.stat().st_size > KEEP_LOG_BYTES:
            kept = log.with_suffix(".log.1")
            try:
                shutil.copyfile(log, kept)
            except OSError:
                kept.unlink()  # a disk that is full is full of this
                raise
            finally:
                os.truncate(log, 0)


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log."""
    with suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - lines * 400))
        return file.read().decode(errors="replace").splitlines()[-lines:]
    return []


def write_state(directories: Directories, state: Mapping[str, Any]) -> None:
    """Replace the state file in one step."""
    part = directories.state_file.with_suffix(".part")
    part.write_text(json.dumps(state, indent=1))
    part.replace(directories.state_file)


def read_state(data: Path) -> dict[str, Any]:
    """What the running supervisor wrote; empty when none runs."""
    try:
        state: dict[str, Any] = json.loads(state_file(data).read_text())
    except (OSError, ValueError):
        return {}
    return state
