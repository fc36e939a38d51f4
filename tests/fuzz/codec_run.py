"""Runs the coverage-guided fuzzer of the codec in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.figures import Figures

MEMORY_LIMIT_MB = 700
"""A quarter is Python and its packages; an input that takes more than the rest is a finding."""
INPUT_LIMIT_S = 5
MAX_INPUT_BYTES = 65_536


def fuzz_codec(runs: int) -> Figures:
    """Judge so many inputs, from the example messages on, always the same ones."""
    with tempfile.TemporaryDirectory() as work:
        corpus = Path(work, "corpus")
        corpus.mkdir()
        command = [sys.executable, "-m", "tests.fuzz.codec", str(runs)]
        command += [f"-rss_limit_mb={MEMORY_LIMIT_MB}", f"-timeout={INPUT_LIMIT_S}"]
        command += [f"-max_len={MAX_INPUT_BYTES}", f"-artifact_prefix={work}/", "-seed=1"]
        began_s = time.monotonic()
        done = subprocess.run([*command, str(corpus)], capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began_s
    if done.returncode:
        return Figures("codec", 0, 0, 1, round(seconds, 1), findings=(done.stderr[-4000:],))
    counts = json.loads(done.stdout)
    return Figures("codec", counts["executions"], counts["accepted"], 0, round(seconds, 1))
