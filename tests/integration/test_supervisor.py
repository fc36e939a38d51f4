"""The real machine under its supervisor: up, whole again after a crash, gone after a stop."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Stack, is_gone, start_stack, stop_stack

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
PROCESSES = {"livekit", "thinker", "actor", "gateway", "agent"}


def eventually(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


@dataclass(frozen=True)
class Restarted:
    """A machine that was stopped by Ctrl-C and started again; tests may break it."""

    stack: Stack
    exit_status: int
    left_behind: list[psutil.Process]
    kept_state: bool


@pytest.fixture(scope="module")
def restarted(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    data_dir = tmp_path_factory.mktemp("restarted")
    first = start_stack(data_dir)
    below = first.descendants()
    first.process.send_signal(signal.SIGINT)
    exit_status = first.process.wait(30)
    left_behind = [process for process in below if not is_gone(process)]
    kept_state = (data_dir / "supervisor.json").exists()
    second = start_stack(data_dir)
    try:
        yield Restarted(second, exit_status, left_behind, kept_state)
    finally:
        stop_stack(second)


def test_the_machine_is_ready_and_says_where(stack: Stack) -> None:
    state = stack.state()
    assert state["ready"] is True
    assert set(state["processes"]) == PROCESSES
    eventually(lambda: f"Open {stack.gateway_url}" in stack.console_log.read_text())
    with urllib.request.urlopen(f"{stack.gateway_url}/readyz", timeout=10) as answer:
        assert answer.status == 200


def test_the_status_command_counts_the_memory_of_every_process(stack: Stack) -> None:
    command = [sys.executable, "-m", "services.cli", "status", "--json"]
    done = subprocess.run(command, env=stack.env, capture_output=True, text=True, check=True)
    status = json.loads(done.stdout)
    assert set(status["pss_bytes"]) == PROCESSES | {"supervisor", "fork server"}
    assert all(size > 1_000_000 for size in status["pss_bytes"].values())
    assert status["pss_bytes_total"] < 3.0e9


def test_the_doctor_says_which_brain_runs(stack: Stack) -> None:
    command = [sys.executable, "-m", "services.cli", "doctor"]
    done = subprocess.run(command, env=stack.env, capture_output=True, text=True, check=False)
    assert "running: " in done.stdout
    assert "in use by our own process" in done.stdout


def test_a_second_machine_on_the_same_ports_is_refused_by_name(
    stack: Stack, tmp_path: Path
) -> None:
    env = {**stack.env, "XSTREAMER_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "services.cli", "up"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for variable in ("XSTREAMER_GATEWAY_PORT", "XSTREAMER_LIVEKIT_PORT"):
        assert variable in done.stderr


def test_ctrl_c_stops_everything(restarted: Restarted) -> None:
    assert restarted.exit_status == 0
    assert restarted.left_behind == []
    assert not restarted.kept_state


def test_a_crashed_process_comes_back_and_the_machine_is_ready_again(
    restarted: Restarted,
) -> None:
    def actor() -> dict[str, Any]:
        state: dict[str, Any] = restarted.stack.state()["processes"]["actor"]
        return state

    first = actor()["pid"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: actor()["restarts"] == 1 and actor()["ready"])
    assert actor()["pid"] != first


def test_a_killed_supervisor_leaves_no_process(restarted: Restarted) -> None:
    below = restarted.stack.descendants()
    assert len(below) >= len(PROCESSES)
    restarted.stack.process.kill()
    restarted.stack.process.wait()
    eventually(lambda: all(is_gone(process) for process in below), patience_s=20.0)
