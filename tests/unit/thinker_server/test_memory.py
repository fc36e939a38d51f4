"""Freed memory goes back to the system."""

import subprocess
import sys
from pathlib import Path

import pytest

from thinker_server import memory

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(memory._TRIM is None, reason="this C library has no malloc_trim"),
]

PROGRAM = """
import pathlib, re
from thinker_server.memory import give_back

def held():
    return int(re.search(r"RssAnon:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

blocks = [bytearray(100_000) for _ in range(1000)]
last = bytearray(100_000)  # above the others: the heap cannot shrink from its end
del blocks
before = held()
give_back()
print(before - held())
"""


def test_holes_below_what_is_kept_go_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert int(done.stdout) > 80_000, "kB of 100,000"
