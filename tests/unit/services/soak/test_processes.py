"""Every process below us is counted once, for whom it works."""

import mmap
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.soak.processes import StolenTime, process_uses

pytestmark = pytest.mark.unit

PARENT = """
import subprocess, sys
wait = [sys.executable, "-c", "input()"]
children = [subprocess.Popen(wait, stdin=subprocess.PIPE) for _ in range(2)]
print('ready', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family() -> Iterator[int]:
    """A process with two children."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    yield parent.pid
    below = psutil.Process(parent.pid).children(recursive=True)
    parent.communicate()
    psutil.wait_procs(below, timeout=5)


def state(**processes: int) -> dict[str, object]:
    return {
        "pid": 0,
        "fork_server_pid": None,
        "processes": {name: {"pid": pid} for name, pid in processes.items()},
    }


def test_what_the_worker_started_is_its_jobs(family: int) -> None:
    uses = process_uses(state(agent=family))
    assert uses["agent"].processes == 1
    assert uses["agent jobs"].processes == 2


def test_what_another_process_started_is_counted_with_it(family: int) -> None:
    uses = process_uses(state(livekit=family))
    assert uses["livekit"].processes == 3
    assert uses["livekit"].heap_mb > 3
    assert uses["livekit"].handles >= 3 * 3


def test_who_is_not_the_machines_is_the_browser(family: int) -> None:
    uses = process_uses(state())
    assert uses["browser"].processes >= 3
    assert uses["measuring"].processes == 1
    assert uses["measuring"].rss_mb == pytest.approx(
        psutil.Process(os.getpid()).memory_info().rss / 1e6, rel=0.2
    )


def test_a_process_that_is_started_again_just_now_has_no_figures(family: int) -> None:
    assert "thinker" not in process_uses(state(thinker=0))


def test_memory_that_is_kept_is_heap_and_mapped_files_are_not(tmp_path: Path) -> None:
    file = tmp_path / "library"
    file.write_bytes(bytes(50_000_000))
    before = process_uses(state())["measuring"].heap_mb
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
        assert not any(mapped[at] for at in range(0, 50_000_000, 4096))
        kept = mmap.mmap(-1, 30_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, len(kept), 4096):
            kept[at] = 1
        grown = process_uses(state())["measuring"].heap_mb - before
        mapped.close()
    assert len(kept) / 1e6 == pytest.approx(grown, abs=5)


Times = namedtuple("Times", ["user", "idle", "steal"])


def test_stolen_time_is_a_share_of_what_passed_since_the_last_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter([Times(100, 100, 50), Times(106, 102, 52), Times(110, 108, 52)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(looks))
    stolen = StolenTime()
    assert [stolen.share(), stolen.share()] == [pytest.approx(0.2), 0.0]


def test_where_the_system_tells_nothing_of_stolen_time_nothing_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter([(1.0, 2.0), (3.0, 4.0)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(looks))
    assert StolenTime().share() is None
