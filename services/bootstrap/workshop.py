"""What every step of the set-up shares, and the pinned installer they take packages with."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.bootstrap.shell import Shell, StepError, Watch
from services.paths import CachePaths

UV = "uv==0.13.8"
PIP = "pip==26.3"


@dataclass(frozen=True)
class Workshop:
    """Places, the machine's environment, and the shell that runs commands in it."""

    repository: Path
    cache: CachePaths
    shell: Shell
    environ: Mapping[str, str]
    _installer_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def installer(self) -> Path:
        """A small environment that holds only pip and uv."""
        return self.repository / ".bootstrap"

    @property
    def python(self) -> Path:
        """The installer's Python; its pip and uv obey the machine's own configuration."""
        return self.installer / "bin" / "python"

    def prepare_installer(self) -> None:
        """Create the installer environment unless it holds exactly the pinned tools."""
        stamp = self.installer / "pins"
        wanted = f"{UV} {PIP} {sys.version}"
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        shutil.rmtree(self.installer, ignore_errors=True)
        try:
            venv.create(self.installer, with_pip=True)
        except (subprocess.CalledProcessError, OSError) as error:
            raise StepError(f"{sys.executable} cannot make {self.installer}: {error}") from error
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        self.shell.run("installer", [self.python, *pip, PIP, UV], _ignore)
        stamp.write_text(wanted)

    def discard_wheel(self, requirement: str) -> None:
        """Forget an unpacked wheel that has done its work."""
        shutil.rmtree(self._unpacked(requirement), ignore_errors=True)

    def _unpacked(self, requirement: str) -> Path:
        return self.cache.tools / requirement.replace("==", "-")

    def unpack_wheel(self, step: str, requirement: str, watch: Watch) -> Path:
        """The files of a wheel, kept in the cache below its name; no code of it is run."""
        target = self._unpacked(requirement)
        with self._installer_lock:
            if target.is_dir():
                return target
            scratch = target.with_name(f"{target.name}.{os.getpid()}.part")
            shutil.rmtree(scratch, ignore_errors=True)
            pip = ("-m", "pip", "install", "--no-deps", "--only-binary", ":all:")
            watch(f"taking {requirement}")
            self.shell.run(step, [self.python, *pip, "--target", scratch, requirement], watch)
            scratch.rename(target)
        return target


def fingerprint(files: Iterable[Path], base: Path) -> str:
    """One hash over names and contents, to tell whether a build is still up to date."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(base)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _ignore(_: str) -> None:
    """For commands whose lines interest nobody unless they fail."""
