"""Where and on what a benchmark ran."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from services.paths import REPOSITORY


@dataclass(frozen=True)
class Machine:
    """The computer, the software and the time of a measurement. `load_1m` before it began."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    commit: str
    changed_files: int
    measured_at: str
    load_1m: float


def this_machine() -> Machine:
    """Describe this computer and the checkout."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=platform.platform(),
        python=platform.python_version(),
        commit=_git("rev-parse", "HEAD"),
        changed_files=len(_git("status", "--porcelain").splitlines()),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        load_1m=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    """Return git's answer, or nothing outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
