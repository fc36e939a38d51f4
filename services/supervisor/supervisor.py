"""Starts every process in order, keeps them running, and leaves nothing behind."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from services.supervisor import process_tree
from services.supervisor.child import Child, ChildError
from services.supervisor.credentials import write_private
from services.supervisor.directories import shorten_log, write_state
from services.supervisor.disk import DiskTroubles
from services.supervisor.fork_server import ForkServer
from services.supervisor.livekit_config import livekit_config
from services.supervisor.plan import Machine
from services.supervisor.ports import check, port_uses

log = logging.getLogger(__name__)

PROBE_PERIOD_S = 0.25
FIRST_BACKOFF_S = 0.5
"""After the second end in a row: the first restart does not wait."""
MAX_BACKOFF_S = 30.0
STEADY_S = 60.0
"""A process that ran so long is started again at once."""
LOGS_PERIOD_S = 60.0

Progress = Callable[[str, str], None]
"""Called with (process, what it does now)."""


class StartError(Exception):
    """The machine did not come up; the text shows why."""


class Supervisor:
    """Runs one machine: `start`, then `keep` until cancelled, then `stop`."""

    def __init__(self, machine: Machine, progress: Progress) -> None:
        self._machine = machine
        self._show = progress
        self._disk = DiskTroubles(self._progress)
        directories = machine.directories
        plans = machine.plans()
        shared = [*dict.fromkeys(module for plan in plans for module in plan.preload)]
        self._forks = ForkServer(shared, machine.environ, directories.log("fork-server"))
        self.children = [
            Child(plan, directories, self._forks if plan.module else None) for plan in plans
        ]

    async def start(self) -> None:
        """Everything is up and ready when this returns.

        Raises: PortError, StartError.
        """
        check(port_uses(self._machine.settings))
        process_tree.adopt_orphans()
        if "livekit" in self._machine.settings.only:
            self._write_livekit_config()
        first = [child for child in self.children if child.plan.first]
        others = [child for child in self.children if not child.plan.first]
        try:
            if any(child.plan.module for child in self.children):
                await self._forks.start()  # it imports while LiveKit starts
            async with asyncio.timeout(self._machine.settings.start_timeout_s):
                await self._start_until_ready(first)
                await self._start_until_ready(others)
        except TimeoutError:
            late = [child for child in self.children if not child.ready]
            words = "\n".join(f"{child.plan.name}:\n{child.last_words()}" for child in late)
            raise StartError(
                f"{', '.join(child.plan.name for child in late)} not ready after "
                f"{self._machine.settings.start_timeout_s:.0f} s "
                f"(start_timeout_s in xstreamer.toml). Ends of their logs:\n{words}"
            ) from None
        self._write_state(ready=True)

    async def keep(self) -> None:
        """Restart whatever ends, and keep the logs small, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_logs_small(), name="keep logs small")
            for child in self.children:
                tasks.create_task(self._keep_running(child), name=f"keep {child.plan.name}")

    async def stop(self) -> None:
        """Stop in the reverse order of starting, then whatever is still below us."""
        for child in reversed(self.children):
            if child.pid is not None:
                self._progress(child.plan.name, "stopping")
                await child.stop()
                self._progress(child.plan.name, "stopped")
        await self._forks.stop()
        process_tree.kill_all(process_tree.descendants(os.getpid()))
        for _ in range(20):
            left = process_tree.descendants(os.getpid())
            process_tree.reap(process.pid for process in left)
            if not left:
                return
            await asyncio.sleep(0.05)

    def _progress(self, process: str, state: str) -> None:
        with suppress(OSError):  # what is shown may go to a file on a full disk
            self._show(process, state)

    async def _start_until_ready(self, children: Sequence[Child]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for child in children:
                    tasks.create_task(self._bring_up(child), name=f"start {child.plan.name}")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _bring_up(self, child: Child) -> None:
        self._progress(child.plan.name, "starting")
        try:
            await child.start()
        except ChildError as error:
            raise StartError(f"{child.plan.name}: {error}") from error
        self._write_state(ready=False)
        await self._until_ready(child)

    async def _until_ready(self, child: Child) -> None:
        """Ask until it is ready. Raises StartError when it ends first."""
        while (reason := await child.plan.probe.reason_not_ready()) is not None:
            if child.pid is None:
                status = await child.wait()
                raise StartError(
                    f"{child.plan.name} ended with status {status} before it was ready. "
                    f"The end of {child.log}:\n{child.last_words()}"
                )
            self._progress(child.plan.name, f"not ready: {reason}")
            await asyncio.sleep(PROBE_PERIOD_S)
        child.ready = True
        self._progress(child.plan.name, "ready")

    async def _keep_running(self, child: Child) -> None:
        backoff_s = 0.0
        while True:
            status = await child.wait()
            self._reap_adopted()
            if time.monotonic() - child.started_s > STEADY_S:
                backoff_s = 0.0
            fields = {"child": child.plan.name, "status": status, "backoff_s": backoff_s}
            log.error("a process ended and is started again", extra=fields)
            self._progress(child.plan.name, f"ended with status {status}; see {child.log}")
            await asyncio.sleep(backoff_s)
            backoff_s = min(max(2 * backoff_s, FIRST_BACKOFF_S), MAX_BACKOFF_S)
            child.restarts += 1
            try:
                await child.start()
                self._write_state(ready=True)
                await self._until_ready(child)
            except (ChildError, StartError) as error:
                log.warning(
                    "a process could not be started again",
                    extra={"child": child.plan.name, "reason": str(error)},
                )
            self._write_state(ready=True)

    async def _keep_logs_small(self) -> None:
        logs = [self._forks.log, *(child.log for child in self.children)]
        while True:
            for file in logs:
                with self._disk.survived(f"shorten {file}"):
                    shorten_log(file)
            await asyncio.sleep(LOGS_PERIOD_S)

    def _reap_adopted(self) -> None:
        """Collect ended processes that we inherited from a child."""
        own = {child.pid for child in self.children}
        ours = process_tree.children(os.getpid())
        process_tree.reap(pid for pid in ours if pid not in own)

    def _write_livekit_config(self) -> None:
        machine = self._machine
        text = livekit_config(
            machine.settings.livekit,
            machine.settings.gateway,
            machine.livekit_key,
            tls=machine.certificate is not None,
        )
        write_private(machine.directories.runtime / "livekit.yaml", text)

    def _write_state(self, *, ready: bool) -> None:
        machine = self._machine
        state = {
            "pid": os.getpid(),
            "fork_server_pid": self._forks.pid,
            "ready": ready,
            "url": machine.url if "gateway" in machine.settings.only else "",
            "livekit_url": machine.livekit_url,
            "thinker_endpoint": machine.thinker_endpoint,
            "actor_endpoint": machine.actor_endpoint,
            "preset": machine.settings.preset,
            "processes": {
                child.plan.name: {
                    "pid": child.pid,
                    "ready": child.ready,
                    "restarts": child.restarts,
                    "log": str(child.log),
                }
                for child in self.children
            },
        }
        with self._disk.survived("write the state that `xstreamer status` shows"):
            write_state(machine.directories, state)
