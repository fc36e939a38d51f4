"""Processes forked from one that has imported what they share: real ones, small ones."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.supervisor.fork_program import ForkRequest
from services.supervisor.fork_server import ForkFailed, ForkServer

pytestmark = pytest.mark.unit

PATIENCE_S = 10.0
WHO_AM_I = """
import os, sys
print(os.environ["NAME"], __name__, sys.argv, "statistics" in sys.modules, len(os.environ))
print("complaint", file=sys.stderr)
"""
SLEEPER = "import time\nprint('awake', flush=True)\ntime.sleep(60)\n"
SAYS_ITS_PID = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
FORK_PROGRAM = "services.supervisor.fork_program"


@asynccontextmanager
async def fork_server(tmp_path: Path, *modules: str) -> AsyncIterator[ForkServer]:
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}"}
    server = ForkServer(modules, environ, tmp_path / "fork-server.log")
    try:
        yield server
    finally:
        await server.stop()


def request(tmp_path: Path, module: str, code: str, **env: str) -> ForkRequest:
    (tmp_path / f"{module}.py").write_text(code)
    log = str(tmp_path / f"{module}.log")
    return ForkRequest(module, env, log, death_signal=signal.SIGKILL)


def log_of(tmp_path: Path, module: str) -> str:
    log = tmp_path / f"{module}.log"
    return log.read_text() if log.exists() else ""


def fork_programs() -> list[int]:
    """Those that live below us."""
    below = psutil.Process().children()
    alive = [process for process in below if process.status() != psutil.STATUS_ZOMBIE]
    return [process.pid for process in alive if FORK_PROGRAM in process.cmdline()]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_forked_module_runs_as_main_with_its_own_environment_and_log(
    tmp_path: Path,
) -> None:
    async with fork_server(tmp_path, "statistics") as server:
        process = await server.fork(request(tmp_path, "who", WHO_AM_I, NAME="ann"))
        assert await process.wait() == 0
        assert process.returncode == 0
    said = log_of(tmp_path, "who")
    assert "ann __main__" in said
    assert "True 1\n" in said, "imported before, and no variable but its own"
    assert "complaint" in said


async def test_a_process_waits_only_for_the_modules_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "quick_one.py").write_text("")
    slow = "import pathlib, time\nwhile not pathlib.Path(__file__).with_name('go').exists():\n"
    (tmp_path / "slow_one.py").write_text(f"{slow}    time.sleep(0.01)\n")
    needs = "import sys\nprint('slow' if 'slow_one' in sys.modules else 'quick', flush=True)\n"
    async with fork_server(tmp_path, "quick_one", "slow_one") as server:
        early = replace(request(tmp_path, "early", needs), after="quick_one")
        late = replace(request(tmp_path, "late", needs), after="slow_one")
        await server.fork(early)
        second = asyncio.create_task(server.fork(late))
        await eventually(lambda: log_of(tmp_path, "early") != "")
        assert not second.done()
        (tmp_path / "go").touch()
        await (await second).wait()
    assert log_of(tmp_path, "early") == "quick\n"
    assert log_of(tmp_path, "late") == "slow\n"


async def test_the_exit_status_and_the_signal_come_back(tmp_path: Path) -> None:
    async with fork_server(tmp_path) as server:
        gone = await server.fork(request(tmp_path, "exits", "raise SystemExit(3)"))
        assert await gone.wait() == 3
        killed = await server.fork(request(tmp_path, "sleeps", SLEEPER))
        assert killed.returncode is None
        os.kill(killed.pid, signal.SIGKILL)
        assert await killed.wait() == -signal.SIGKILL


async def test_a_forked_process_leads_its_own_group_and_hears_sigterm(tmp_path: Path) -> None:
    async with fork_server(tmp_path) as server:
        process = await server.fork(request(tmp_path, "sleeps", SLEEPER))
        await eventually(lambda: "awake" in log_of(tmp_path, "sleeps"))
        assert os.getpgid(process.pid) == process.pid
        process.terminate()
        assert await process.wait() == -signal.SIGTERM


async def test_what_was_forked_goes_with_the_fork_server_which_comes_back(tmp_path: Path) -> None:
    async with fork_server(tmp_path) as server:
        sleeper = request(tmp_path, "sleeps", SLEEPER)
        process = await server.fork(sleeper)
        await eventually(lambda: "awake" in log_of(tmp_path, "sleeps"))
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        await eventually(lambda: not psutil.pid_exists(process.pid))
        await eventually(lambda: server.pid is None)
        again = await server.fork(sleeper)
        assert again.pid != process.pid
        assert server.pid not in {None, first}


async def test_a_fork_server_that_cannot_live_says_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "fatal.py").write_text("raise SystemExit(9)")
    async with fork_server(tmp_path, "fatal") as server:
        with pytest.raises(ForkFailed, match=r"status 9.*fork-server\.log"):
            await server.fork(request(tmp_path, "sleeps", SLEEPER))


async def test_a_module_that_is_missing_is_left_to_the_process_that_needs_it(
    tmp_path: Path,
) -> None:
    async with fork_server(tmp_path, "no_such_module") as server:
        process = await server.fork(request(tmp_path, "exits", "raise SystemExit(0)"))
        assert await process.wait() == 0
    assert "cannot import no_such_module" in (tmp_path / "fork-server.log").read_text()


async def test_a_process_that_nobody_waits_for_any_more_does_not_stay(tmp_path: Path) -> None:
    async with fork_server(tmp_path) as server:
        asking = asyncio.create_task(server.fork(request(tmp_path, "sleeps", SLEEPER)))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        other = await server.fork(request(tmp_path, "exits", "raise SystemExit(4)"))
        assert await other.wait() == 4
        assert server.pid is not None
        await eventually(lambda: not psutil.Process(server.pid).children())


async def test_processes_that_come_back_at_once_share_a_fork_server_and_are_not_confused(
    tmp_path: Path,
) -> None:
    names = ("ann", "bob", "cid")
    requests = [request(tmp_path, name, SAYS_ITS_PID) for name in names]
    async with fork_server(tmp_path) as server:
        first = await asyncio.gather(*map(server.fork, requests))
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.gather(*(process.wait() for process in first))
        again = await asyncio.gather(*map(server.fork, requests))
        assert fork_programs() == [server.pid]
        expected = [[str(process.pid)] for process in again]
        await eventually(
            lambda: [log_of(tmp_path, name).split()[-1:] for name in names] == expected
        )
