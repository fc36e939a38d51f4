"""One supervised process: its own group, its own log, gone with everything below it."""

import asyncio
import os
import signal
import time
from contextlib import suppress

from services.supervisor import process_tree
from services.supervisor.directories import Directories, tail
from services.supervisor.fork_program import ForkRequest
from services.supervisor.fork_server import ForkedProcess, ForkFailed, ForkServer
from services.supervisor.plan import ProcessPlan

TAIL_LINES = 25
KILL_TIMEOUT_S = 5.0


class ChildError(Exception):
    """A process could not be started or ended before it was ready."""


class Child:
    """Starts, stops and describes the process of one plan. Used from one event loop."""

    def __init__(
        self, plan: ProcessPlan, directories: Directories, forks: ForkServer | None = None
    ) -> None:
        self.plan = plan
        self.log = directories.log(plan.name)
        self.restarts = 0
        self.ready = False
        self.started_s = 0.0
        self._forks = forks
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    async def start(self) -> None:
        """Start it. Raises ChildError when the program cannot be run."""
        self.started_s = time.monotonic()  # of a try that fails, too: it is no long life
        try:
            self._process = await self._fork(self._forks) if self._forks else await self._execute()
        except (OSError, ForkFailed) as error:
            raise ChildError(f"cannot run {self.plan.command[0]}: {error}") from error

    async def _execute(self) -> asyncio.subprocess.Process:
        supervisor, death_signal = os.getpid(), self.plan.death_signal
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.plan.command,
                env=self.plan.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: process_tree.die_with_parent(supervisor, death_signal),
            )

    async def _fork(self, forks: ForkServer) -> ForkedProcess:
        plan = self.plan
        after = plan.preload[-1] if plan.preload else ""
        request = ForkRequest(
            plan.module, dict(plan.env), str(self.log), int(plan.death_signal), after
        )
        return await forks.fork(request)

    async def wait(self) -> int:
        """Its exit status, once it has ended by itself; what it left behind is killed."""
        assert self._process is not None
        status = await self._process.wait()
        self.ready = False
        self._kill_group()
        return status

    async def stop(self) -> None:
        """Ask it to leave, wait `stop_s`, then kill it and everything that was below it."""
        if self._process is None:
            return
        below = process_tree.descendants(self._process.pid)
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.plan.stop_s)
        process_tree.kill_all([*below, *process_tree.descendants(self._process.pid)])
        self._kill_group()
        await asyncio.wait_for(self._process.wait(), KILL_TIMEOUT_S)
        self._process = None
        self.ready = False

    def kill(self) -> None:
        """End it now; `stop` still has to be awaited."""
        if self.pid is not None:
            self._kill_group()

    def last_words(self) -> str:
        """The end of its log, for a person."""
        return "\n".join(f"    {line}" for line in tail(self.log, TAIL_LINES))

    def _kill_group(self) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
