"""Fixtures for the whole suite: the model files, and the real machine under its supervisor."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.assets.manifest import load
from services.assets.store import AssetStore
from services.bootstrap.asset_files import TEST_GROUPS
from services.callbench.questions import questions
from services.paths import cache_paths
from tests.leaks import leaks
from tests.promises import PromiseBroken

START_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 30.0
ORDER = ("unit", "integration", "browser", "gpu")
REALTIME_TRIES, REALTIME_PAUSE_S = 3, 20
"""A call misses its moments when the machine is busy with something else: one good try in three
shows that the product can. Each repetition is reported; a broken promise is never tried again."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first, each of a category; what runs in real time may be tried again."""
    for item in items:
        if item.get_closest_marker("realtime"):
            once_more = pytest.mark.flaky(
                reruns=REALTIME_TRIES - 1,
                reruns_delay=REALTIME_PAUSE_S,
                rerun_except=[PromiseBroken.__name__],
            )
            item.add_marker(once_more)

    def rank(item: pytest.Item) -> int:
        found = [place for place, name in enumerate(ORDER) if item.get_closest_marker(name)]
        if not found:
            raise pytest.UsageError(f"{item.nodeid} has none of the markers {', '.join(ORDER)}")
        return found[0]

    items.sort(key=rank)


@pytest.fixture(scope="session")
def assets_dir() -> Path:
    """The verified model files of the default preset and of the evaluation."""
    store = AssetStore(cache_paths(os.environ).assets)
    if missing := store.missing(load(groups=TEST_GROUPS)):
        names = ", ".join(asset.name for asset in missing)
        pytest.fail(f"models are missing: {names}. Get them with `xstreamer assets fetch --all`")
    return store.root


@dataclass(frozen=True)
class Stack:
    """A running machine. `env` is what its supervisor was started with."""

    process: subprocess.Popen[bytes]
    gateway_url: str
    livekit_url: str
    data_dir: Path
    console_log: Path
    env: dict[str, str]

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self.process.pid

    def state(self) -> dict[str, Any]:
        """What the supervisor tells of its processes."""
        state: dict[str, Any] = json.loads((self.data_dir / "supervisor.json").read_text())
        return state

    def is_ready(self) -> bool:
        """Whether every process says that it is ready."""
        return all(process["ready"] for process in self.state()["processes"].values())

    def log(self, process: str) -> str:
        """A process's whole log: livekit, thinker, actor, gateway or agent."""
        return (self.data_dir / "logs" / f"{process}.log").read_text(errors="replace")

    def leaks(self) -> list[str]:
        """Secrets that any of its logs tells, and words that callers asked."""
        livekit = json.loads((self.data_dir / "livekit-key.json").read_text())
        secrets = {
            "LiveKit's secret": livekit["api_secret"],
            "the provenance key": (self.data_dir / "provenance.key").read_text().strip(),
            **{name: value for name, value in self.env.items() if name.endswith("_SECRET_KEY")},
        }
        for asked in questions().values():
            typed = asked.text.rstrip("?.")
            secrets |= {f"{asked.id}, typed": typed, f"{asked.id}, recognised": typed.lower()}
        return leaks([self.console_log, *(self.data_dir / "logs").iterdir()], secrets)

    def descendants(self) -> list[psutil.Process]:
        """Every process below the supervisor."""
        return psutil.Process(self.pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    """It has ended, whether or not somebody has collected it."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different, for TCP and UDP."""
    with_sockets = []
    try:
        for _ in range(count):
            probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            with_sockets.append(probe)
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in with_sockets]
    finally:
        for probe in with_sockets:
            probe.close()


def stack_environment(data_dir: Path) -> dict[str, str]:
    """The environment of a machine that shares nothing with another one but the cache."""
    names = (
        "GATEWAY_PORT",
        "LIVEKIT_PORT",
        "LIVEKIT_RTC_TCP_PORT",
        "LIVEKIT_RTC_UDP_PORT",
        "AGENT_HEALTH_PORT",
        "THINKER_METRICS_PORT",
        "ACTOR_METRICS_PORT",
    )
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("XSTREAMER_") or key == "XSTREAMER_CACHE"
    }
    ports = zip(names, free_ports(len(names)), strict=True)
    return {
        **kept,
        **{f"XSTREAMER_{name}": str(port) for name, port in ports},
        "XSTREAMER_LIVEKIT_METRICS_PORT": "0",
        # browsers and a machine on two cores: what calls need is no measure of anything
        "XSTREAMER_GATEWAY_MEASURED_CAPACITY": "false",
        "XSTREAMER_DATA": str(data_dir),
    }


@pytest.fixture(scope="session")
def stack(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real machine, preset nano, ready for calls; it must leave no process behind, and tell no
    secret in a log, whatever the tests did with it.
    """
    running = start_stack(tmp_path_factory.mktemp("stack"))
    below = []
    try:
        yield running
        below = running.descendants()
    finally:
        stop_stack(running)
    left = [process for process in below if not is_gone(process)]
    assert not left, f"the supervisor left processes behind: {left}"
    assert running.leaks() == []


def start_stack(
    data_dir: Path, preset: str = "nano", settings: Mapping[str, str] | None = None
) -> Stack:
    """Start a machine on free ports, so set, and wait until it says that it is ready."""
    env = stack_environment(data_dir) | dict(settings or {})
    console_log = data_dir / "console.log"
    command = [sys.executable, "-m", "services.cli", "up", "--preset", preset]
    with console_log.open("wb") as log:
        process = subprocess.Popen(
            command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    running = Stack(
        process=process,
        gateway_url=f"http://127.0.0.1:{env['XSTREAMER_GATEWAY_PORT']}",
        livekit_url=f"ws://127.0.0.1:{env['XSTREAMER_LIVEKIT_PORT']}",
        data_dir=data_dir,
        console_log=console_log,
        env=env,
    )
    _await_ready(running)
    return running


def stop_stack(running: Stack) -> int:
    """Ask it to stop; its exit status. Kills it when it does not obey."""
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
    try:
        return running.process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        for process in running.descendants():
            process.kill()
        running.process.kill()
        raise


def _await_ready(running: Stack) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            pytest.fail(f"the machine did not start:\n{running.console_log.read_text()}")
        state_file = running.data_dir / "supervisor.json"
        if state_file.exists() and running.state()["ready"]:
            return
        time.sleep(0.2)
    stop_stack(running)
    pytest.fail(f"the machine was not ready in time:\n{running.console_log.read_text()}")
