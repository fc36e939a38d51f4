"""Real child processes, small ones: started, watched, restarted, and gone without a trace."""

import asyncio
import errno
import logging
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from services.provenance import ProvenanceKey
from services.settings import Settings
from services.supervisor import directories, process_tree
from services.supervisor import supervisor as supervisor_module
from services.supervisor.child import Child
from services.supervisor.credentials import LiveKitKey
from services.supervisor.directories import Directories, read_state, tail
from services.supervisor.plan import Machine, ProcessPlan
from services.supervisor.process_tree import memory_use
from services.supervisor.readiness import Probe
from services.supervisor.supervisor import Progress, StartError, Supervisor

pytestmark = pytest.mark.unit

PATIENCE_S = 10.0
SLEEPER = "import time\nprint('awake', flush=True)\ntime.sleep(60)\n"
CHATTERER = "import time\nwhile True:\n    print(80 * 'x')\n    time.sleep(0.002)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
PARENT = """
import subprocess, sys, time
code = "import time; time.sleep(60)"
subprocess.Popen([sys.executable, "-c", code])
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print("both", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _keep_the_test_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor under test lives in pytest's process, which must not adopt orphans."""
    monkeypatch.setattr(process_tree, "adopt_orphans", lambda: None)


class AlwaysReady:
    async def reason_not_ready(self) -> str | None:
        return None


class NeverReady:
    async def reason_not_ready(self) -> str | None:
        return "not yet"


class WhenFileExists:
    def __init__(self, file: Path) -> None:
        self.file = file

    async def reason_not_ready(self) -> str | None:
        return None if self.file.exists() else "no file"


def plan(name: str, code: str, probe: Probe | None = None, stop_s: float = 5.0) -> ProcessPlan:
    command = (sys.executable, "-u", "-c", textwrap.dedent(code))
    return ProcessPlan(name, command, dict(os.environ), probe or AlwaysReady(), stop_s=stop_s)


@dataclass(frozen=True)
class FakeMachine(Machine):
    """A machine whose processes are the test's own."""

    own: tuple[ProcessPlan, ...] = ()

    def plans(self) -> tuple[ProcessPlan, ...]:
        return self.own


def say_nothing(process: str, state: str) -> None:
    pass


def supervisor(tmp_path: Path, *plans: ProcessPlan, progress: Progress = say_nothing) -> Supervisor:
    ports = {"metrics_port": 0}
    settings = Settings(
        data=tmp_path,
        start_timeout_s=2.0,
        gateway={"port": 48080},
        livekit={"port": 48081, "rtc_tcp_port": 48082, "rtc_udp_port": 48083, **ports},
        agent={"health_port": 48084},
        thinker=ports,
        actor=ports,
    )
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "run").mkdir(exist_ok=True)
    machine = FakeMachine(
        settings=settings,
        directories=Directories(tmp_path, tmp_path / "run"),
        livekit_program=Path("livekit-server"),
        livekit_key=LiveKitKey("key", "secret"),
        provenance_key=ProvenanceKey.new(),
        certificate=None,
        environ={},
        own=plans,
    )
    return Supervisor(machine, progress)


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def kept(machine: Supervisor) -> AsyncIterator[None]:
    """Runs meanwhile, and must not end by itself."""
    await machine.start()
    keeping = asyncio.create_task(machine.keep())
    try:
        yield
        assert not keeping.done(), "it gave up"
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await machine.stop()


async def crash(child: Child) -> None:
    """Kill it, and wait until it is back."""
    before = child.restarts
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await eventually(lambda: child.restarts > before and child.ready)


async def started(tmp_path: Path, code: str, says: str, stop_s: float = 5.0) -> Child:
    (tmp_path / "logs").mkdir(exist_ok=True)
    child = Child(plan("child", code, stop_s=stop_s), Directories(tmp_path, tmp_path))
    await child.start()
    await eventually(lambda: says in "".join(tail(child.log, 5)))
    return child


async def test_a_stopped_child_takes_its_children_along_even_those_in_sessions_of_their_own(
    tmp_path: Path,
) -> None:
    child = await started(tmp_path, PARENT, "both")
    assert child.pid is not None
    below = psutil.Process(child.pid).children(recursive=True)
    assert len(below) == 2
    await child.stop()
    await eventually(lambda: not any(process.is_running() for process in below))
    assert child.pid is None


async def test_a_child_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    child = await started(tmp_path, STUBBORN, "awake", stop_s=0.3)
    before = time.monotonic()
    await child.stop()
    assert child.pid is None
    assert 0.3 <= time.monotonic() - before < 3.0


async def test_a_child_dies_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import asyncio, pathlib, signal, sys
        from services.supervisor.child import Child
        from services.supervisor.directories import Directories
        from services.supervisor.plan import ProcessPlan
        async def main():
            command = (sys.executable, "-c", "import time; time.sleep(60)")
            here = pathlib.Path({str(tmp_path)!r})
            child = Child(ProcessPlan("child", command, {{}}, None), Directories(here, here))
            await child.start()
            print(child.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    (tmp_path / "logs").mkdir()
    above = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert above.stdout is not None
    below = psutil.Process(int(await above.stdout.readline()))
    above.send_signal(signal.SIGKILL)
    await above.wait()
    await eventually(lambda: not below.is_running() or below.status() == psutil.STATUS_ZOMBIE)


async def test_a_process_that_ends_before_it_is_ready_shows_its_last_words(tmp_path: Path) -> None:
    machine = supervisor(
        tmp_path, plan("engine", "raise SystemExit('no such model')", probe=NeverReady())
    )
    with pytest.raises(StartError, match=r"engine ended with status 1(.|\n)*no such model"):
        await machine.start()
    await machine.stop()


async def test_a_process_that_never_gets_ready_ends_the_start_in_time(tmp_path: Path) -> None:
    machine = supervisor(tmp_path, plan("engine", SLEEPER, probe=NeverReady()))
    with pytest.raises(StartError, match=r"engine not ready after 2 s.*start_timeout_s"):
        await machine.start()
    await machine.stop()
    assert machine.children[0].pid is None


async def test_the_first_process_is_ready_before_the_others_start(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    first = plan(
        "first",
        f"import pathlib, time\ntime.sleep(.3)\npathlib.Path({str(flag)!r}).touch()\n{SLEEPER}",
        probe=WhenFileExists(flag),
    )
    code = f"import pathlib\nprint(pathlib.Path({str(flag)!r}).exists(), flush=True)\n{SLEEPER}"
    machine = supervisor(tmp_path, replace(first, first=True), plan("second", code))
    await machine.start()
    await eventually(lambda: "awake" in machine.children[1].last_words())
    assert "True" in machine.children[1].last_words()
    await machine.stop()


async def test_a_process_that_crashes_is_started_again_and_the_state_says_so(
    tmp_path: Path,
) -> None:
    machine = supervisor(tmp_path, plan("engine", SLEEPER))
    await machine.start()
    first = machine.children[0].pid
    assert first is not None
    keeping = asyncio.create_task(machine.keep())
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: machine.children[0].pid not in {None, first})
    await eventually(lambda: read_state(tmp_path)["processes"]["engine"]["restarts"] == 1)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await machine.stop()
    assert machine.children[0].pid is None


async def test_a_process_that_cannot_be_started_again_is_tried_ever_more_rarely(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it ran before: its last try was a moment ago."""
    monkeypatch.setattr(supervisor_module, "FIRST_BACKOFF_S", 0.01)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    machine = supervisor(tmp_path, replace(plan("engine", ""), command=(str(program),)))
    child = machine.children[0]

    def waits() -> list[float]:
        return [vars(record)["backoff_s"] for record in caplog.records if "ended" in record.msg]

    async with kept(machine):
        child.started_s -= 2 * supervisor_module.STEADY_S
        moved = program.rename(tmp_path / "elsewhere")
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await eventually(lambda: len(waits()) >= 4)
        assert waits()[:4] == [0.0, 0.01, 0.02, 0.04]
        moved.rename(program)
        await eventually(lambda: child.ready)


def test_memory_is_counted_over_all_processes_below(tmp_path: Path) -> None:
    alone = memory_use("us", os.getpid(), alone=True)
    assert alone.processes == 1
    assert alone.pss_bytes > 5_000_000
    assert memory_use("nobody", 2**22 + 1).processes == 0


async def test_a_full_disk_ends_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_BACKOFF_S", 0.0)

    def full(process: str, state: str) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    machine = supervisor(tmp_path, plan("engine", SLEEPER), progress=full)
    async with kept(machine):
        (tmp_path / "supervisor.part").mkdir()  # no state can be written any more
        await crash(machine.children[0])
        await crash(machine.children[0])
    assert [record.levelno for record in caplog.records if "disk" in record.name] == [logging.ERROR]


async def test_the_log_of_a_process_that_lives_is_begun_anew_when_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "KEEP_LOG_BYTES", 4_000)
    monkeypatch.setattr(supervisor_module, "LOGS_PERIOD_S", 0.05)
    machine = supervisor(tmp_path, plan("engine", CHATTERER))
    log = machine.children[0].log
    async with kept(machine):
        before = machine.children[0].pid
        await eventually(lambda: log.with_suffix(".log.1").exists())
        await eventually(lambda: 0 < log.stat().st_size < 4_000)
        assert b"\0" not in log.read_bytes(), "its process appends"
        assert machine.children[0].pid == before


async def test_a_log_that_cannot_be_shortened_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "KEEP_LOG_BYTES", 0)
    monkeypatch.setattr(supervisor_module, "LOGS_PERIOD_S", 0.01)
    machine = supervisor(tmp_path, plan("engine", CHATTERER))
    machine.children[0].log.with_suffix(".log.1").mkdir()
    async with kept(machine):
        await eventually(lambda: any("disk" in record.name for record in caplog.records))
        await crash(machine.children[0])
