"""Jobs are forked from a fork of the worker, and from a fresh process when that one died."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from services.room_agent.job_server import fork_job_server

pytestmark = pytest.mark.unit

PATIENCE_S = 30.0
WORKER = """
import colorsys  # which the worker has and a job asks for
import json
import multiprocessing
import os
import sys
import time
from multiprocessing import forkserver

from services.room_agent.job_server import fork_job_server

SEEN = {"colorsys", "quopri", "tabnanny", "livekit.agents.ipc._preload_freeze"}


def job(pipe):
    pipe.send([os.getppid(), sorted(SEEN & sys.modules.keys())])


def ask(context):
    ours, theirs = context.Pipe()
    process = context.Process(target=job, args=(theirs,))
    process.start()
    told = ours.recv()
    process.join()
    return [*told, process.exitcode]


if __name__ == "__main__":
    fork_job_server(["quopri"])
    server = forkserver._forkserver
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tabnanny"])
    first = server._forkserver_pid
    told = [ask(context), ask(context)]
    os.kill(first, 9)
    while os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT) is None:
        time.sleep(0.01)
    again = ask(context)
    print(json.dumps([first, told, server._forkserver_pid, again]), flush=True)
    sys.stdin.read()
"""


def test_jobs_come_from_a_fork_of_the_worker_and_from_a_fresh_server_after_it(
    tmp_path: Path,
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        first, told, second, again = json.loads(worker.stdout.readline())
        shared = ["colorsys", "livekit.agents.ipc._preload_freeze", "quopri"]
        assert told == 2 * [[first, shared, 0]]
        assert second != first
        assert again == [second, ["colorsys", "tabnanny"], 0]  # the script imports the first one
        family = psutil.Process(worker.pid).children(recursive=True)
        assert second in {process.pid for process in family}
        worker.kill()
    _, alive = psutil.wait_procs(family, PATIENCE_S)
    assert not alive


def test_a_process_with_threads_is_not_forked() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="before any thread"):
            fork_job_server([])
    finally:
        stop.set()
        thread.join()
