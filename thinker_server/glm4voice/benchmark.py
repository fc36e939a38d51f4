"""`python -m thinker_server.glm4voice.benchmark`: what GLM-4-Voice costs here, random weights.

Full size on a GPU, tiny on a CPU. The floor of a step is the time of reading all weights once at
the memory bandwidth that a copy reaches in the same run. The speech decoder belongs to the Actor:
its own benchmark ran before, and what it found comes as a file.
"""

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, GlmForCausalLM

from proto.time_law import HEARING_HZ
from thinker_server.glm4voice.convert import native_config
from thinker_server.glm4voice.decoder import GlmDecoder
from thinker_server.glm4voice.generation import Generation
from thinker_server.glm4voice.geometry import GlmGeometry
from thinker_server.glm4voice.language_model import device_of
from thinker_server.glm4voice.sampler import Sampling
from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.geometry import SpeechGeometry
from thinker_server.glm4voice.speech.token_stream import SpeechTokenStream

FULL = GlmGeometry(40, 4096, 32, 2, 128, 13_696, 168_960, 8192, 3.90625e-08, 10_000.0)
TINY = GlmGeometry(2, 64, 4, 2, 16, 112, 16_649, 8192, 3.90625e-08, 10_000.0)
FULL_SPEECH = SpeechGeometry(1280, 20, 16, 5120, 16_384, 200, 1500)
TINY_SPEECH = SpeechGeometry(48, 4, 2, 96, 16_384, 200, 1500)
SESSIONS = (1, 4, 16)
PROMPT_TOKENS = 1000
STEPS = 50
SPEECH_S = 24
FIRST_PART_TOKENS = 13 + 5
"""Text of the first segment, the first part's four codes, and the one that shows more follows."""
PAPER_S_PER_MINUTE = 51.2
"""X-Streamer (arXiv 2509.21574): the Thinker's share of a minute of response on one A100."""
REAL_TIME_TOKENS_PER_S = 18.75
COPY_BYTES = 1 << 28


@dataclass
class Results:
    """What was measured; times are medians."""

    device: str
    size: str
    machine: str
    measured_at: str
    commit: str
    weights_gb: float
    prefill_tokens_per_s: float = 0.0
    first_part_ms: float = 0.0
    first_audio_ms: float = 0.0
    step_ms: dict[int, float] = field(default_factory=dict)
    tokens_per_s_each: dict[int, float] = field(default_factory=dict)
    bandwidth_gb_per_s: float = 0.0
    share_of_floor: float = 0.0
    speech_encode_real_time_factor: float = 0.0
    speech_decode_real_time_factor: float = 0.0
    seconds_per_minute_of_response: float = 0.0
    paper_seconds_per_minute: float = PAPER_S_PER_MINUTE
    real_time_tokens_per_s: float = REAL_TIME_TOKENS_PER_S
    device_memory_gb: float = 0.0


class Bench:
    """One model on one device."""

    def __init__(self, device: torch.device, slots: int) -> None:
        self._device = device
        full = device.type == "cuda"
        dtype = torch.bfloat16 if full else torch.float32
        geometry = FULL if full else TINY
        with torch.device("meta"):
            model: GlmForCausalLM = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                native_config(geometry, dtype), dtype=dtype
            )
        model.to_empty(device=device)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.02)
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config).to(device)
        model.requires_grad_(False)
        sampling = Sampling(0.2, 0.8, geometry.vocabulary)
        self._decoder = GlmDecoder(model, sampling, slots, geometry.context_tokens)
        self._decoder.capture()
        self._vocabulary = geometry.vocabulary
        self._encoder = SpeechEncoder(FULL_SPEECH if full else TINY_SPEECH).to(device)
        self._encoder.requires_grad_(False)
        self.weights_bytes = sum(p.numel() * p.element_size() for p in model.parameters())

    def run(self) -> Results:
        """Everything, in about a minute."""
        size = "full" if self._device.type == "cuda" else "tiny"
        results = Results(
            device=self._name(),
            size=size,
            machine=platform.platform(),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=_commit(),
            weights_gb=self.weights_bytes / 1e9,
        )
        results.prefill_tokens_per_s = PROMPT_TOKENS / self._prefill_s()
        results.first_part_ms = self._first_part_s() * 1e3
        for sessions in SESSIONS:
            if sessions <= self._decoder.slots:
                step_s = self._step_s(sessions)
                results.step_ms[sessions] = step_s * 1e3
                results.tokens_per_s_each[sessions] = 1 / step_s
        results.bandwidth_gb_per_s = self._bandwidth() / 1e9
        floor_s = self.weights_bytes / (results.bandwidth_gb_per_s * 1e9)
        results.share_of_floor = floor_s / (results.step_ms[1] / 1e3)
        alone = results.tokens_per_s_each[1]
        results.seconds_per_minute_of_response = 60 * REAL_TIME_TOKENS_PER_S / alone
        results.speech_encode_real_time_factor = self._speech_s() / SPEECH_S
        if self._device.type == "cuda":
            results.device_memory_gb = torch.cuda.max_memory_allocated(self._device) / 1e9
        return results

    def _generation(self, sessions: int, prompt: int, tokens: int) -> Generation:
        dice = np.random.default_rng(0)
        work = Generation(self._decoder, frozenset())
        for seed in range(sessions):
            ids = dice.integers(0, self._vocabulary, prompt).tolist()
            work.begin(work.open(), ids, tokens, seed)
        return work

    def _prefill_s(self) -> float:
        def read() -> None:
            work = self._generation(1, PROMPT_TOKENS, 0)
            while work.busy:
                work.step()

        return self._median_s(read, 3)

    def _first_part_s(self) -> float:
        def answer() -> None:
            work = self._generation(1, PROMPT_TOKENS // 4, FIRST_PART_TOKENS)
            while work.busy:
                work.step()

        return self._median_s(answer, 3)

    def _step_s(self, sessions: int) -> float:
        work = self._generation(sessions, PROMPT_TOKENS, STEPS + 2 * sessions * 3)
        while len(work.step()) < sessions:
            pass  # prompts are read in turns beside the answers
        return self._median_s(work.step, STEPS)

    def _speech_s(self) -> float:
        pcm = np.random.default_rng(0).integers(-9000, 9000, SPEECH_S * HEARING_HZ)

        def hear() -> None:
            stream = SpeechTokenStream(self._encoder)
            stream.hear(pcm.astype(np.int16))
            stream.tokens()

        return self._median_s(hear, 3)

    def _bandwidth(self) -> float:
        source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=self._device)
        target = torch.empty_like(source)
        return 2 * COPY_BYTES / self._median_s(lambda: target.copy_(source), 10)

    def _median_s(self, work: Callable[[], object], times: int) -> float:
        work()
        taken = []
        for _ in range(times):
            self._wait()
            started = time.perf_counter()
            work()
            self._wait()
            taken.append(time.perf_counter() - started)
        return float(np.median(taken))

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _name(self) -> str:
        if self._device.type == "cuda":
            return torch.cuda.get_device_name(self._device)
        return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"


def add_speech(results: Results, found: dict[str, Any]) -> None:
    """What the speech decoder's benchmark found on the same device. Raises ValueError."""
    if (found["size"] == "tiny") != (results.size == "tiny"):
        raise ValueError(f"the decoder was measured {found['size']}, the model {results.size}")
    results.speech_decode_real_time_factor = found["real_time_factor"]
    results.first_audio_ms = results.first_part_ms + found["first_samples_ms"]
    results.device_memory_gb += found["gpu_memory_mb"] / 1e3


def table(results: Results) -> Table:
    """For people, beside the paper's figure."""
    shown = Table(title=f"GLM-4-Voice, {results.size}, random weights, {results.device}")
    shown.add_column("figure")
    shown.add_column("measured", justify="right")
    shown.add_column("real time, or the paper")
    shown.add_row("prompt read, tokens/s", f"{results.prefill_tokens_per_s:.0f}", "")
    for sessions, speed in results.tokens_per_s_each.items():
        shown.add_row(
            f"tokens/s each, {sessions} at once", f"{speed:.1f}", f"{REAL_TIME_TOKENS_PER_S}"
        )
    minute = f"{results.seconds_per_minute_of_response:.1f} s"
    shown.add_row(
        "Thinker per minute of response", minute, f"60 s; {PAPER_S_PER_MINUTE} s on an A100"
    )
    shown.add_row("share of the bandwidth floor", f"{100 * results.share_of_floor:.0f} %", "")
    shown.add_row("first part of an answer", f"{results.first_part_ms:.0f} ms", "")
    shown.add_row("first audio", f"{results.first_audio_ms:.0f} ms", "")
    shown.add_row("speech encoded", f"{results.speech_encode_real_time_factor:.3f}", "1")
    shown.add_row("speech decoded", f"{results.speech_decode_real_time_factor:.3f}", "1")
    shown.add_row("GPU memory", f"{results.device_memory_gb:.1f} GB", "")
    return shown


def _commit() -> str:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m thinker_server.glm4voice.benchmark")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0, ...")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch on the CPU")
    parser.add_argument("--speech", type=Path, help="JSON of the speech decoder's benchmark")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = Bench(device_of(options.device), max(SESSIONS)).run()
    if options.speech is not None:
        add_speech(results, json.loads(options.speech.read_text()))
    Console().print(table(results))
    if options.out is not None:
        options.out.write_text(json.dumps(asdict(results), indent=1) + "\n")


if __name__ == "__main__":
    main()
