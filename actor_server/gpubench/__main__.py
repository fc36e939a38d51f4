"""`python -m actor_server.gpubench --out FILE`: what the 9B Actor costs here, random weights.

Full size in bfloat16 on a GPU; on a CPU a tiny one in single precision, which proves the program
and says nothing of a GPU. The Thinker's figures come as the file of its own benchmark. The JSON
is written after every part, so that a run that is cut off leaves what it had.
"""

import argparse
import gc
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from actor_server.codec.ltx.benchmark import counted_gflop
from actor_server.codec.ltx.causal import CausalDecoder
from actor_server.evaluation.float8 import compared
from actor_server.gpubench.clock import Clock, ceilings
from actor_server.gpubench.models import random_actor, random_codec
from actor_server.gpubench.passes import attention_figures, pass_figures
from actor_server.gpubench.report import PAPER, end_to_end, goals, tables
from actor_server.gpubench.sizes import DISTILLED, SERVED, SIZES, WINDOWS, Size
from actor_server.gpubench.streams import CHUNK_MS, StreamFigures, recorded, stream_figures
from actor_server.measured_on import commit, machine
from actor_server.sampler import PyramidSampler

TABLE_COLUMNS: Final = 110


class Bench:
    """One Actor and one video decoder on one device."""

    def __init__(self, size: Size, device: torch.device, *, compiled: bool) -> None:
        self._size, self._device, self._compiled = size, device, compiled
        self._clock = Clock(device)
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self._best = ceilings(self._clock, size, self._dtype)
        self._release()
        self._model = random_actor(size.actor, device, self._dtype)
        self._codec = random_codec(size, device, self._dtype)
        self._release()

    def parts(self) -> dict[str, Callable[[], Any]]:
        """What is measured, in order; the most wanted first."""
        return {
            "ceilings": lambda: asdict(self._best),
            "weights_gb": lambda: _bytes(self._model) / 1e9,
            "streams": self._streams,
            "actor_peak_gb": self._peak_gb,
            "passes": self._passes,
            "sessions": self._sessions,
            "attention_ms": self._attention_ms,
            "decoder": self._decoder,
            "float8": self._float8,
            "ways_chunk_ms": self._ways_chunk_ms,
        }

    def _stream(self, sampler: PyramidSampler, sessions: int) -> StreamFigures:
        return stream_figures(sampler, self._codec, sessions, self._clock, self._size.chunks)

    def _recorded(self, steps: int, window: int, sessions: int = 1) -> StreamFigures:
        self._release()
        return self._stream(recorded(self._model, steps, window, sessions), sessions)

    def _streams(self) -> list[dict[str, Any]]:
        return [_row(self._recorded(*way)) for way in self._size.streams]

    def _peak_gb(self) -> float:
        """Of one session as it is served: weights, cache, graphs, decoder."""
        self._release()
        if self._device.type != "cuda":
            return 0.0
        torch.cuda.reset_peak_memory_stats(self._device)
        self._recorded(*SERVED)
        return torch.cuda.max_memory_allocated(self._device) / 1e9

    def _passes(self) -> list[dict[str, Any]]:
        return [
            asdict(pass_figures(self._model, window, self._clock, self._best, self._size.repeats))
            for window in WINDOWS
        ]

    def _sessions(self) -> list[dict[str, Any]]:
        """Twice as many each time, until they do not hold or do not fit."""
        rows = []
        for way in (SERVED, DISTILLED):
            sessions, holds = 1, True
            while holds and sessions <= self._size.sessions:
                try:
                    figures = self._recorded(*way, sessions)
                except torch.OutOfMemoryError:
                    break
                rows.append(_row(figures))
                sessions, holds = 2 * sessions, figures.holds
        return rows

    def _attention_ms(self) -> dict[str, float | None]:
        return attention_figures(self._model, SERVED[1], self._clock, self._size.repeats)

    @torch.inference_mode()
    def _decoder(self) -> dict[str, float]:
        """One chunk by the causal decoder, without its way to the host."""
        tokens = torch.randn(1, *self._codec.space.token_shape, device=self._device)
        latent = self._codec.space.latents(tokens).to(self._dtype)
        stream = CausalDecoder(self._codec.autoencoder.decoder, latent)
        return {
            "chunk_ms": self._clock.median_ms(lambda: stream.push(latent), self._size.repeats),
            "gflop": counted_gflop(lambda: stream.push(latent)),
            "memory_mb": stream.memory_bytes / 1e6,
        }

    def _float8(self) -> dict[str, float | None]:
        small = random_actor(self._size.actor, self._device, self._dtype, float8=True)
        error = compared((self._model, small))
        window = SERVED[1]
        row = pass_figures(small, window, self._clock, self._best, self._size.repeats)
        return {
            "weights_gb": error.float8_bytes / 1e9,
            "hidden_error": error.hidden,
            "velocity_error": error.velocity,
            "window": window,
            "pass_ms": row.pass_ms,
        }

    def _ways_chunk_ms(self) -> dict[str, float | None]:
        """The compiled one last: minutes may go by until it is made, and it may not be possible."""
        steps, window = SERVED
        found: dict[str, float | None] = {}
        ways: dict[str, Callable[[], PyramidSampler]] = {
            "launched": lambda: PyramidSampler(self._model, steps, window, 1),
            "recorded": lambda: recorded(self._model, steps, window, 1),
            "recorded, padded": lambda: recorded(self._model, steps, window, 1, padded=True),
        }
        for name, make in ways.items():
            self._release()
            found[name] = self._stream(make(), 1).passes_ms
        if self._compiled:
            self._release()
            name = "compiled, recorded, padded"
            try:
                made = recorded(self._model, steps, window, 1, padded=True, compiler="inductor")
                found[name] = self._stream(made, 1).passes_ms
            except RuntimeError as error:
                found[name] = None
                Console(stderr=True).print(f"torch.compile: {error}")
        return found

    def _release(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _row(figures: StreamFigures) -> dict[str, Any]:
    return asdict(figures) | {
        "chunk_ms": figures.chunk_ms,
        "real_time_factor": figures.chunk_ms / CHUNK_MS,
        "s_per_minute": figures.s_per_minute,
        "holds": figures.holds,
    }


def _bytes(model: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def thinkers(path: Path | None, size: Size) -> dict[str, Any] | None:
    """What the Thinker's benchmark found. Raises ValueError for another size."""
    if path is None:
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    if found["size"] != size.name:
        raise ValueError(
            f"{path} is of a Thinker of size {found['size']}, the Actor is {size.name}"
        )
    return found


def main() -> None:
    """Measure, and write JSON and the table beside it."""
    parser = argparse.ArgumentParser(prog="python -m actor_server.gpubench")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--thinker", type=Path, help="JSON of the Thinker's benchmark, same GPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", choices=sorted(SIZES), help="default: as the device can bear")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    on_gpu = device.type == "cuda"
    size = SIZES[chosen.size or ("full" if on_gpu else "tiny")]
    console = Console(record=True, width=TABLE_COLUMNS)
    found: dict[str, Any] = {
        "machine": machine(),
        "commit": commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or "CPU",
        "on_gpu": on_gpu,
        "size": size.name,
        "paper": PAPER,
        "thinker": thinkers(chosen.thinker, size),
    }
    bench = Bench(size, device, compiled=on_gpu and not chosen.no_compile)
    for name, measure in bench.parts().items():
        begun = time.perf_counter()
        found[name] = measure()
        chosen.out.write_text(json.dumps(found, indent=1) + "\n")
        Console(stderr=True).print(f"{name}: {time.perf_counter() - begun:.0f} s")
    found["end_to_end"] = end_to_end(found)
    found["goals"] = goals(found)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    console.print(tables(found))
    chosen.out.with_suffix(".md").write_text(f"```\n{console.export_text()}```\n")


if __name__ == "__main__":
    main()
