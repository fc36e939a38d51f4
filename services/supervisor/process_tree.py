"""Linux's own means against orphans: parent-death signals, subreaper, the tree below us."""

import ctypes
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """From now on a process whose parent died below us becomes our child, so none gets lost."""
    _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int, death_signal: signal.Signals) -> None:
    """Run between fork and exec: get `death_signal` when the supervisor dies, however it dies."""
    _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:  # it died before prctl
        os.kill(os.getpid(), signal.SIGKILL)


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below `pid`, children first; empty when there is no such process."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def children(pid: int) -> list[int]:
    """Process ids directly below `pid`."""
    return [process.pid for process in psutil.Process(pid).children()]


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL to each that still lives."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def reap(pids: Iterable[int]) -> None:
    """Collect adopted processes that have ended; the caller must not own them otherwise."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@dataclass(frozen=True)
class MemoryUse:
    """Proportional set size in bytes of one started process with everything below it."""

    name: str
    pid: int
    processes: int
    pss_bytes: int


def memory_use(name: str, pid: int, *, alone: bool = False) -> MemoryUse:
    """Shared pages are divided among those who share them, so sums over processes are honest."""
    total, count = 0, 0
    with suppress(psutil.NoSuchProcess):
        for process in [psutil.Process(pid), *([] if alone else descendants(pid))]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
                count += 1
    return MemoryUse(name, pid, count, total)
