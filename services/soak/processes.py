"""What each process of the machine holds: memory, file handles, threads."""

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from services.soak.samples import BROWSER, MEASURING, ProcessUse

AGENT_JOBS = "agent jobs"


def process_uses(state: Mapping[str, Any]) -> dict[str, ProcessUse]:
    """Look at everything below this process; `state` is what the supervisor wrote.

    A process counts for the nearest one above it that has a name; what the agent's worker started
    counts as its jobs, and what is not below the supervisor is the browser.
    """
    named = {os.getpid(): MEASURING, state["pid"]: "supervisor"}
    if fork_server := state["fork_server_pid"]:
        named[fork_server] = "fork server"
    named |= {told["pid"]: name for name, told in state["processes"].items() if told["pid"]}
    us = psutil.Process()
    everyone = [us, *us.children(recursive=True)]
    parents = {process.pid: _parent(process) for process in everyone}
    found: defaultdict[str, list[ProcessUse]] = defaultdict(list)
    for process in everyone:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            found[_name(process.pid, parents, named)].append(_use(process))
    return {name: _together(uses) for name, uses in sorted(found.items())}


class StolenTime:
    """How much of the processors' time the host of a virtual machine gave to others."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def share(self) -> float | None:
        """Since the last time; None where the system does not tell."""
        before, now = self._before, psutil.cpu_times()
        self._before = now
        taken = getattr(now, "steal", None)
        passed = sum(now) - sum(before)
        return None if taken is None or passed <= 0 else (taken - before.steal) / passed


def _name(pid: int, parents: Mapping[int, int], named: Mapping[int, str]) -> str:
    if pid in named:
        return named[pid]
    above = parents.get(pid, 0)
    while above and above not in named:
        above = parents.get(above, 0)
    name = named.get(above, MEASURING)
    return {"agent": AGENT_JOBS, MEASURING: BROWSER}.get(name, name)


def _parent(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return process.ppid()
    return 0


def _use(process: psutil.Process) -> ProcessUse:
    with process.oneshot():
        memory, cpu = process.memory_full_info(), process.cpu_times()
        return ProcessUse(
            processes=1,
            heap_mb=_heap_mb(process.pid),
            pss_mb=memory.pss / 1e6,
            rss_mb=memory.rss / 1e6,
            handles=process.num_fds(),
            threads=process.num_threads(),
            cpu_s=cpu.user + cpu.system,
        )


def _heap_mb(pid: int) -> float:
    """Anonymous memory, of proc_pid_status(5)."""
    rows = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = sum(int(row[1]) for row in rows if row and row[0] in ("RssAnon:", "VmSwap:"))
    return kib * 1024 / 1e6


def _together(uses: list[ProcessUse]) -> ProcessUse:
    rows = [use.model_dump() for use in uses]
    return ProcessUse(**{field: sum(row[field] for row in rows) for field in rows[0]})
