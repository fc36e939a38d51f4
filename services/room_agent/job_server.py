"""The process that LiveKit's job processes are forked from, with what this one has imported.

LiveKit has multiprocessing's fork server make its jobs, and that is a fresh interpreter: it imports
2,100 modules, 2 s of CPU, before a worker that was started again can take a call. The worker has
them already, in pages that it shares with the engines; so the fork server is forked from it.
"""

import os
import socket
import threading
from collections.abc import Sequence
from multiprocessing import connection, forkserver
from typing import Any, Final, NoReturn

LIVEKIT_WARM_UP: Final = ("livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze")
"""What LiveKit has its fork server import; the second must be the last."""


def fork_job_server(modules: Sequence[str]) -> None:
    """Start multiprocessing's fork server as a fork of this process, which has one thread still.

    `modules` are imported there once, and then LiveKit's own. When it dies, multiprocessing starts
    the next one as it always does.

    Raises: RuntimeError when there are other threads: what they hold would be held for ever.
    """
    if threading.active_count() > 1:
        raise RuntimeError("the job server must be forked before any thread starts")
    # What ForkServer.ensure_running does, but for the fresh interpreter; it has no public door.
    server: Any = forkserver._forkserver
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        os.chmod(address, 0o600)
        listener.listen()
        alive_r, alive_w = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(alive_w)
            _serve(listener.detach(), alive_r, [*modules, *LIVEKIT_WARM_UP])
    os.close(alive_r)
    server._forkserver_address, server._forkserver_alive_fd = address, alive_w
    server._forkserver_pid = pid


def _serve(listener: int, alive_r: int, modules: list[str]) -> NoReturn:
    """Until the last process ends that can ask for jobs."""
    status = 1
    try:
        forkserver.main(listener, alive_r, modules)
    except SystemExit:
        status = 0
    finally:
        os._exit(status)
