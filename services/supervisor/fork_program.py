"""`python -m services.supervisor.fork_program MODULE...`: imports modules once, then forks.

What several engines import (torch: 0.3 GB, 2.5 s) is loaded once, and Linux shares its pages among
all that were forked from here; an engine that crashed is back without importing it again.

One JSON object a line. On stdin, a `ForkRequest`. On stdout `{"started": pid}`, in the order of
the requests, and `{"ended": pid, "status": n}`, n as subprocess gives it. A request is served as
soon as the module is imported that it names, while others still are not. The end of stdin is the
end of the supervisor: this program leaves, and what it forked goes with it.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import sys
from collections import deque
from collections.abc import Collection
from contextlib import closing
from dataclasses import asdict, dataclass

from services.supervisor.process_tree import die_with_parent

READ_BYTES = 65_536


@dataclass(frozen=True)
class ForkRequest:
    """A Python module to run as `python -m` would, with its environment, its log file and the
    signal that it gets when the process it was forked from dies. `after`: the last module that it
    waits for; all of them when there is none.
    """

    module: str
    env: dict[str, str]
    log: str
    death_signal: int
    after: str = ""

    def waits_for(self, modules: Collection[str]) -> bool:
        """Whether it needs one of these, which are not imported yet."""
        return self.after in modules if self.after else bool(modules)

    def line(self) -> bytes:
        """As it travels."""
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Serve until stdin ends; in a forked process, be the module that was asked for."""
    request = serve(deque(sys.argv[1:]))
    if request is not None:
        become(request)


def serve(modules: deque[str]) -> ForkRequest | None:
    """Import, and fork for every request. Returns None at the end of stdin, and the request in
    the child.
    """
    unread, asked = b"", deque[ForkRequest]()
    with selectors.DefaultSelector() as waiting:
        waiting.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select(0 if modules or asked else None):
                if key.data is not None:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
                    _tell(ended=key.data, status=_exit_code(key.data))
                    continue
                read = os.read(key.fd, READ_BYTES)
                if not read:
                    return None
                *lines, unread = (unread + read).split(b"\n")
                asked.extend(ForkRequest(**json.loads(line)) for line in lines)
            while asked and not asked[0].waits_for(modules):
                if (request := _fork(asked.popleft(), waiting)) is not None:
                    return request
            if modules:
                _import(modules.popleft())


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError as error:  # the process that needs it will say so in its own log
        sys.stderr.write(f"cannot import {name}: {error}\n")
    gc.collect()
    gc.freeze()  # a collection would write to, and so copy, every page that is shared


def become(request: ForkRequest) -> None:
    """Run the module in this process: own group, own log, own environment."""
    os.setsid()
    _redirect(os.devnull, os.O_RDONLY, 0)
    for output in (1, 2):
        _redirect(request.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, output)
    os.environ.clear()
    os.environ.update(request.env)
    sys.argv = [request.module]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def _fork(request: ForkRequest, waiting: selectors.BaseSelector) -> ForkRequest | None:
    """The request in the child, None in the parent."""
    parent = os.getpid()
    if pid := os.fork():
        waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        _tell(started=pid)
        return None
    die_with_parent(parent, signal.Signals(request.death_signal))
    for key in list(waiting.get_map().values()):
        if key.data is not None:
            os.close(key.fd)
    return request


def _exit_code(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _tell(**event: int) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _redirect(path: str, flags: int, descriptor: int) -> None:
    with closing(os.fdopen(os.open(path, flags, 0o644))) as opened:
        os.dup2(opened.fileno(), descriptor)


if __name__ == "__main__":
    main()
