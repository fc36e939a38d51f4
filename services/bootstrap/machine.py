"""What the machine must have before anything is installed, and what to do when it has not."""

import ctypes
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIN_GLIBC = (2, 34)  # the floor of the binary wheels in uv.lock
MIN_FREE_GB = 9
NEEDED_LIBRARIES = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2"}
TEST_PROGRAMS = {
    "chromium": "chromium",
    "docker-compose": "docker-compose",
    "initdb": "postgresql",
    "prometheus": "prometheus",
    "redis-server": "redis-server",
}
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
"""Debian keeps PostgreSQL's server programs off the PATH, one directory a version."""


@dataclass(frozen=True)
class Problem:
    """One thing that keeps the product from running, and the way out."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}\n  -> {self.fix}"


def machine_problems(system: str, machine: str, libc: tuple[str, str]) -> Iterator[Problem]:
    """Refuse what the wheels of the lock do not cover."""
    if system != "Linux" or machine != "x86_64":
        yield Problem(
            f"X-Streamer runs on Linux x86-64; this is {system} {machine}.",
            "use a Linux x86-64 machine, or the Docker image (docker-compose.yml)",
        )
    elif libc[0] != "glibc" or _version(libc[1]) < MIN_GLIBC:
        found = " ".join(libc).strip() or "another C library"
        yield Problem(
            f"X-Streamer needs glibc {'.'.join(map(str, MIN_GLIBC))} or later; this has {found}.",
            "use Debian 12, Ubuntu 22.04, RHEL 10 or later, or the Docker image",
        )


def python_problems() -> Iterator[Problem]:
    """Debian splits venv and pip's installer out of Python; both are needed."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        yield Problem(
            f"Python {version} at {sys.executable} lacks {' and '.join(missing)}.",
            f"apt-get install python{version}-venv (Debian, Ubuntu), then run this again",
        )


def disk_problems(path: str) -> Iterator[Problem]:
    """The environment is about 6 GB (PyTorch's Linux wheels carry CUDA), the rest about 2 GB."""
    free_gb = shutil.disk_usage(path).free / 1e9
    if free_gb < MIN_FREE_GB:
        yield Problem(
            f"only {free_gb:.1f} GB are free at {path}, the installation needs {MIN_FREE_GB} GB.",
            "free some disk space, or check the code out on a larger disk",
        )


def missing_libraries() -> list[str]:
    """Debian packages whose shared library mediapipe links to and this machine lacks."""
    return [package for soname, package in NEEDED_LIBRARIES.items() if not _loads(soname)]


def missing_test_programs() -> list[str]:
    """Debian packages that only the tests need."""
    return [package for name, package in TEST_PROGRAMS.items() if not _is_there(name)]


def _is_there(program: str) -> bool:
    return shutil.which(program) is not None or any(DEBIAN_POSTGRES.glob(f"*/bin/{program}"))


def apt_command(packages: list[str]) -> str:
    """The one line a person types."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y {' '.join(packages)}"


def all_problems() -> list[Problem]:
    """What must be repaired by hand before the bootstrap can start."""
    host = machine_problems(platform.system(), platform.machine(), platform.libc_ver())
    return [*host, *python_problems()]


def _loads(soname: str) -> bool:
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
