"""`python -m actor_server.speech.benchmark --out FILE`: what a second of decoded speech costs.

Random weights, at the released size on a GPU and at that of preset tiny-glm on a CPU: speed does
not depend on what they are.
"""

import argparse
import json
import platform
import statistics
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from actor_server.measured_on import commit, machine
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import SpeechGeometry
from actor_server.speech.glm4voice import BLOCK_TOKENS, FIRST_BLOCKS, Glm4VoiceSpeech
from actor_server.speech.tiny import TINY, random_tensors
from actor_server.speech.vocoder import Vocoder
from proto.time_law import AUDIO_TOKEN_US

STEADY_BLOCKS = 12
"""Measured when the prompt has reached its length."""
PROMPT_BLOCKS = 5


def random_decoder(geometry: SpeechGeometry, device: str) -> Glm4VoiceSpeech:
    """A decoder that says nothing in particular."""
    dice = torch.Generator().manual_seed(0)
    flow, vocoder = FlowDecoder(geometry.flow), Vocoder(geometry.vocoder)
    flow.load_state_dict(random_tensors(flow, dice))
    vocoder.load_state_dict(random_tensors(vocoder, dice))
    vocoder.fold_weight_norm()
    for model in (flow, vocoder):
        model.eval().requires_grad_(False)
    return Glm4VoiceSpeech(flow, vocoder, torch.device(device))


def measure(decoder: Glm4VoiceSpeech) -> dict[str, Any]:
    """Seconds of every block of one reply, and what follows from them."""
    dice = np.random.default_rng(0)
    stream = decoder.open()
    seconds = []
    for _ in range(len(FIRST_BLOCKS) + PROMPT_BLOCKS + STEADY_BLOCKS):
        codes = dice.integers(0, decoder.codes, stream.next_block).astype(np.int32)
        started = perf_counter()
        stream.extend(codes)
        seconds.append(perf_counter() - started)
    steady = seconds[-STEADY_BLOCKS:]
    media_s = BLOCK_TOKENS * AUDIO_TOKEN_US / 1e6
    return {
        "first_samples_ms": round(1000 * seconds[0], 1),
        "first_chunk_ms": round(1000 * sum(seconds[:2]), 1),
        "block_ms": round(1000 * statistics.median(steady), 1),
        "block_ms_slowest": round(1000 * max(steady), 1),
        "real_time_factor": round(statistics.median(steady) / media_s, 4),
    }


def table(found: dict[str, Any]) -> Table:
    """For people."""
    shown = Table(title=f"Speech decoder, {found['size']}, random weights, {found['device']}")
    shown.add_column("figure")
    shown.add_column("measured", justify="right")
    shown.add_row("first samples", f"{found['first_samples_ms']:.0f} ms")
    shown.add_row("first chunk's samples", f"{found['first_chunk_ms']:.0f} ms")
    shown.add_row("block of 13 tokens (1.04 s), median", f"{found['block_ms']:.0f} ms")
    shown.add_row("block, slowest", f"{found['block_ms_slowest']:.0f} ms")
    shown.add_row("real-time factor", f"{found['real_time_factor']:.3f}")
    return shown


def main() -> None:
    """Measure, and write what was found as JSON."""
    parser = argparse.ArgumentParser(description="Measure the speech decoder.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action=argparse.BooleanOptionalAction, help="default: no GPU")
    chosen = parser.parse_args()
    on_gpu = chosen.device.startswith("cuda")
    tiny = not on_gpu if chosen.tiny is None else chosen.tiny
    decoder = random_decoder(TINY if tiny else SpeechGeometry(), chosen.device)
    decoder.warm_up()
    found = {
        "machine": machine(),
        "commit": commit(),
        "size": "tiny" if tiny else "released",
        "device": torch.cuda.get_device_name(chosen.device) if on_gpu else platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **measure(decoder),
        "gpu_memory_mb": round(torch.cuda.max_memory_allocated() / 1e6) if on_gpu else 0,
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    Console().print(table(found))


if __name__ == "__main__":
    main()
