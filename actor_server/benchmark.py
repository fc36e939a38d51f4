"""What the Actor costs on one CPU thread, and that it costs the same for ever.

    python -m actor_server.benchmark --out actor.json

Prints tables and writes one JSON object. Times are CPU time of one thread, so that what else the
machine does counts little. The weights do not change them: without --weights they are random.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from actor_server.measured_on import commit, machine
from actor_server.model.conditioner import Conditions
from actor_server.model.geometry import NANO, TINY, ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import ConditionReader
from actor_server.motion.source import Condition, Floats, SpeechWindow
from actor_server.sampler import PyramidSampler, SamplerStream
from actor_server.weights import load_actor
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import CHUNK_US

WINDOWS: Final = (1, 2, 4, 8)
STEPS: Final = (4, 8)
ROWS: Final = (1, 2, 3, 4)
SHIPPED: Final = (4, 1)
"""N, W that the table of sessions and the goals are about when there are no weights."""
WARM_CHUNKS: Final = 34
"""Until the context is full: a pass costs the same before, but memory is touched first."""
MEASURED_CHUNKS: Final = 30
ENDLESS_CHUNKS: Final = 100_000
HOUR_CHUNKS: Final = 3_600_000_000 // CHUNK_US
FLAT_PARTS: Final = 10
CHUNK_MS: Final = CHUNK_US / 1000
FIRST_CHUNK_GOAL_MS: Final = 80.0
REAL_TIME_GOAL: Final = 0.35
DRAWING_MS: Final = 8 * 3.2
"""Eight frames of the slowest portrait in docs/benchmarks/decoder.json."""


@dataclass(frozen=True)
class Figures:
    """One way of sampling."""

    dtype: str
    steps: int
    window: int
    sessions: int
    pass_ms_median: float
    pass_ms_p95: float
    condition_ms: float  # a chunk's arrays to keys and values
    chunk_ms: float  # all passes and the condition of one session's chunk
    real_time_share: float  # of one core, for all sessions
    first_chunk_ms: float  # condition to clean latents right after a flush, one session


@dataclass(frozen=True)
class Flatness:
    """An hour, ten hours: chunks, their CPU time and the memory after each tenth of them."""

    chunks: int
    chunk_ms: list[float]
    memory_mb: list[float]


class Session:
    """A stream that never lacks a condition, and the CPU time of what it does."""

    def __init__(self, sampler: PyramidSampler, geometry: ActorGeometry, seed: int) -> None:
        reference = torch.zeros(geometry.reference_tokens, geometry.latent_dim)
        self.stream: SamplerStream = sampler.open(reference, seed)
        self._sampler = sampler
        self._condition, self._reader = speech(geometry), ConditionReader(geometry.sight)
        self.condition_s: list[float] = []

    def fill(self) -> None:
        while self.stream.in_flight < self._sampler.window:
            began = time.thread_time()
            arrays = self._reader.read(self._condition)
            self.stream.offer(Conditions.stack([[arrays]]))
            self.condition_s.append(time.thread_time() - began)


def speech(geometry: ActorGeometry) -> Condition:
    """Noise instead of a voice: the arithmetic is the same."""
    sight, dice = geometry.sight, np.random.default_rng(0)
    features: Floats = dice.normal(size=(sight.slots, TOKEN_MEL_FRAMES, MEL_BINS)).astype("f4")
    states = dice.normal(size=(13, sight.state_width)).astype(np.float16)
    seen = np.ones(sight.slots, np.bool_)
    slots = tuple(range(len(states)))
    window = SpeechWindow(
        0, 8, 4, sight.history_tokens, features, seen, text_slots=slots, text_states=states
    )
    return Condition("speaking", 1, window)


def passes(sampler: PyramidSampler, sessions: list[Session]) -> Iterator[tuple[float, bool]]:
    """Endless: seconds of each pass, and whether it made a chunk of the first session."""
    streams = [session.stream for session in sessions]
    while True:
        for session in sessions:
            session.fill()
        began = time.thread_time()
        chunks = sampler.run_pass(streams)
        yield time.thread_time() - began, chunks[0] is not None


def until(made: int, run: Iterator[tuple[float, bool]]) -> list[float]:
    """Seconds of the passes that it takes to make so many chunks."""
    times = []
    while made:
        seconds, clean = next(run)
        times.append(seconds)
        made -= clean
    return times


def measure(model: VideoTransformer, steps: int, window: int, rows: int) -> Figures:
    sampler = PyramidSampler(model, steps, window, rows)
    sessions = [Session(sampler, model.geometry, seed) for seed in range(rows)]
    run = passes(sampler, sessions)
    until(WARM_CHUNKS, run)
    sessions[0].condition_s.clear()
    times = until(MEASURED_CHUNKS, run)
    condition_s = float(np.median(sessions[0].condition_s))
    median, p95 = np.percentile(times, [50, 95])
    chunk_s = sum(times) / MEASURED_CHUNKS / rows + condition_s
    return Figures(
        dtype=str(model.dtype).removeprefix("torch."),
        steps=steps,
        window=window,
        sessions=rows,
        pass_ms_median=round(float(median) * 1e3, 2),
        pass_ms_p95=round(float(p95) * 1e3, 2),
        condition_ms=round(condition_s * 1e3, 2),
        chunk_ms=round(chunk_s * 1e3, 2),
        real_time_share=round(rows * chunk_s * 1e3 / CHUNK_MS, 4),
        first_chunk_ms=round(first_chunk(sampler, sessions[0]) * 1e3, 2),
    )


def first_chunk(sampler: PyramidSampler, session: Session) -> float:
    """CPU seconds from a new condition after an interruption to its clean latents; the median."""
    taken = []
    for _ in range(9):
        session.stream.flush()
        began, chunk = time.thread_time(), None
        while chunk is None:
            session.fill()
            (chunk,) = sampler.run_pass([session.stream])
        taken.append(time.thread_time() - began)
    return float(np.median(taken))


def tiny() -> VideoTransformer:
    """A model that makes 100,000 chunks while nobody would wait for a big one."""
    return VideoTransformer(replace(TINY, layers=1)).eval().requires_grad_(False)


def endless(model: VideoTransformer, steps: int, window: int, chunks: int) -> Flatness:
    """One session for so long, as fast as it goes."""
    sampler = PyramidSampler(model, steps, window, rows=1)
    session = Session(sampler, model.geometry, 0)
    run = passes(sampler, [session])
    until(WARM_CHUNKS, run)
    part, process = chunks // FLAT_PARTS, psutil.Process(os.getpid())
    taken, memory = [], []
    for _ in track(range(FLAT_PARTS), f"{chunks} chunks"):
        began = time.thread_time()
        until(part, run)
        session.condition_s.clear()
        taken.append(round((time.thread_time() - began) / part * 1e3, 3))
        memory.append(round(process.memory_info().rss / 2**20, 1))
    return Flatness(part * FLAT_PARTS, taken, memory)


def print_table(console: Console, title: str, results: list[Figures]) -> None:
    table = Table(title=title)
    heads = ("dtype", "N", "W", "rows", "pass", "p95", "cond", "chunk", "share", "first")
    for head in heads:
        table.add_column(head, justify="left" if head == "dtype" else "right")
    for row in results:
        table.add_row(*(str(value) for value in asdict(row).values()))
    console.print(table)


def loaded(weights: Path | None) -> tuple[VideoTransformer, tuple[int, int]]:
    """The model and the N, W it is meant for."""
    if weights is None:
        torch.manual_seed(0)
        return VideoTransformer(NANO).eval().requires_grad_(False), SHIPPED
    model, defaults = load_actor(weights)
    return model, (defaults.steps, defaults.window)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the Actor costs on one CPU thread.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--weights", type=Path, help="a weight file; random ones without it")
    parser.add_argument("--chunks", type=int, default=ENDLESS_CHUNKS, help="of a tiny model")
    parser.add_argument("--hour", type=int, default=HOUR_CHUNKS, help="chunks of the model's hour")
    options = parser.parse_args()
    console = Console()
    torch.set_num_threads(1)
    model, (steps, window) = loaded(options.weights)
    ways = [(n, w) for n in STEPS for w in WINDOWS if w <= n]
    alone = [measure(model, n, w, 1) for n, w in ways]
    together = [measure(model, steps, window, rows) for rows in ROWS]
    hour = endless(model, steps, window, options.hour)
    console.print(f"an hour of {hour.chunks} chunks: ms {hour.chunk_ms}, MB {hour.memory_mb}")
    half = [measure(model.bfloat16(), n, w, 1) for n, w in ways]
    print_table(console, "nano on one thread: CPU milliseconds", alone + half)
    print_table(console, f"sessions in one pass, N={steps} W={window}", together)
    flat = endless(tiny(), 1, 1, options.chunks)
    console.print(f"{flat.chunks} chunks of a tiny model: ms {flat.chunk_ms}, MB {flat.memory_mb}")
    shown = together[0].first_chunk_ms + DRAWING_MS
    report = {
        "machine": machine() | {"torch": torch.__version__},
        "commit": commit(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "shipped": {"steps": steps, "window": window},
        "first_chunk_drawn_ms": round(shown, 1),
        "within_first_chunk_goal": shown <= FIRST_CHUNK_GOAL_MS,
        "within_real_time_goal": together[0].real_time_share <= REAL_TIME_GOAL,
        "alone": [asdict(row) for row in alone + half],
        "together": [asdict(row) for row in together],
        "hour": asdict(hour),
        "endless": asdict(flat),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    console.print(
        f"first chunk {shown:.0f} ms with drawing (goal {FIRST_CHUNK_GOAL_MS:.0f}), "
        f"{together[0].real_time_share:.1%} of real time (goal {REAL_TIME_GOAL:.0%}), "
        f"peak {report['peak_mb']} MB"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
