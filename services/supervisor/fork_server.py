"""The supervisor's end of the fork program: asks it for processes and hears how they end."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.supervisor.fork_program import ForkRequest
from services.supervisor.process_tree import die_with_parent

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""A process may be forked only while it has one thread; engines set their own numbers later."""
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""glibc's allocator takes a heap for each thread, up to eight a core, and keeps what each freed."""
END_TIMEOUT_S = 5.0


class ForkFailed(Exception):
    """The fork program ended before it had forked."""


class ForkedProcess:
    """A process as asyncio.subprocess.Process shows it, as far as the supervisor needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._ended.result() if self._ended.done() else None

    def terminate(self) -> None:
        """SIGTERM. Raises ProcessLookupError."""
        os.kill(self.pid, signal.SIGTERM)

    async def wait(self) -> int:
        """Its exit status; minus the signal that killed it."""
        return await asyncio.shield(self._ended)

    def end(self, status: int) -> None:
        """It is known to have ended."""
        if not self._ended.done():
            self._ended.set_result(status)


class ForkServer:
    """Forks Python processes that share what `modules` take. Used from one event loop."""

    def __init__(self, modules: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._modules = modules
        self._environ = {**FEW_ARENAS, **environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"}
        self.log = log
        self._program: _Program | None = None
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._program.pid if self._program is not None else None

    async def start(self) -> None:
        """Start to import, unless it runs; requests may come at once. Raises OSError."""
        await self._running()

    async def fork(self, request: ForkRequest) -> ForkedProcess:
        """A new process; the fork server is started again if it is gone.

        Raises: ForkFailed, OSError.
        """
        program = await self._running()
        return await program.fork(request)

    async def stop(self) -> None:
        """End it; processes that still run end with it."""
        if self._program is not None:
            await self._program.stop()

    async def _running(self) -> "_Program":
        """The program. When it died, all that it forked did too, and all ask for it at once."""
        async with self._starting:
            if self._program is None or self._program.pid is None:
                self._program = _Program(await self._execute(), self.log)
            return self._program

    async def _execute(self) -> asyncio.subprocess.Process:
        supervisor = os.getpid()
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.supervisor.fork_program",
                *self._modules,
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(supervisor, signal.SIGKILL),
            )


class _Program:
    """One run of the fork program, with what it was asked for and what it forked."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._asked: deque[asyncio.Future[ForkedProcess]] = deque()
        self._forked: dict[int, ForkedProcess] = {}
        self._hearing = asyncio.create_task(self._hear(), name="hear the fork server")

    @property
    def pid(self) -> int | None:
        """None when it has ended."""
        return self._process.pid if self._process.returncode is None else None

    async def fork(self, request: ForkRequest) -> ForkedProcess:
        """A new process. Raises ForkFailed."""
        assert self._process.stdin is not None
        started: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
        self._asked.append(started)
        with suppress(ConnectionError):  # then the reader fails the future
            self._process.stdin.write(request.line())
            await self._process.stdin.drain()
        return await started

    async def stop(self) -> None:
        """End it; processes that still run end with it."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.wait_for(self._process.wait(), END_TIMEOUT_S)
        await self._hearing

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            event = json.loads(line)
            if "started" in event:
                forked = self._forked[event["started"]] = ForkedProcess(event["started"])
                asked = self._asked.popleft()
                if asked.cancelled():  # nobody is left who would stop it
                    os.kill(forked.pid, signal.SIGKILL)
                else:
                    asked.set_result(forked)
            else:
                self._forked.pop(event["ended"]).end(event["status"])
        status = await self._process.wait()
        while self._asked:
            reason = f"the fork server ended with status {status}; see {self._log}"
            asked = self._asked.popleft()
            if not asked.cancelled():
                asked.set_exception(ForkFailed(reason))
        for forked in self._forked.values():
            forked.end(-signal.SIGKILL)  # what it forked dies with it
        self._forked.clear()
