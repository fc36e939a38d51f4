"""`python -m actor_server.codec.ltx.benchmark --out FILE`: what each way to decode costs and errs.

Random weights, or those of `--vae`: speed does not depend on what they are, but how fast the error
of `run_ahead` falls with its context does. On a GPU the released size; on a CPU its depth with a
quarter of its channels and pictures of 64 x 64, in CPU time of one thread. Latents are noise.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    AutoencoderKLLTXVideo,
    LTXVideoDecoder3d,
)
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from actor_server.codec.ltx.causal import CausalDecoder, PastOnly
from actor_server.codec.ltx.checkpoint import load_autoencoder
from actor_server.codec.ltx.latents import LatentSpace
from actor_server.codec.ltx.layers import reaches, walk
from actor_server.codec.ltx.run_ahead import decode_in_window
from actor_server.codec.ltx.tiny import TINY, random_autoencoder
from actor_server.measured_on import commit, machine
from proto.time_law import CHUNK_US

RELEASED: Final[dict[str, Any]] = {
    "block_out_channels": (128, 256, 512, 1024, 2048),
    "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    "spatio_temporal_scaling": (True,) * 4,
    "layers_per_block": (4, 6, 6, 2, 2),
    "decoder_block_out_channels": (256, 512, 1024),
    "decoder_layers_per_block": (5,) * 4,
    "decoder_spatio_temporal_scaling": (True,) * 3,
    "decoder_inject_noise": (False,) * 4,
    "upsample_residual": (True,) * 3,
    "upsample_factor": (2,) * 3,
    "timestep_conditioning": True,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}
"""LTX-Video 0.9.5 and later."""
QUARTER: Final = RELEASED | {
    name: tuple(channels // 4 for channels in RELEASED[name])
    for name in ("block_out_channels", "decoder_block_out_channels")
}
SIZES: Final = {"released": (RELEASED, 8), "quarter": (QUARTER, 2), "tiny": (TINY, 2)}
"""Configuration, and the side of the latent's grid."""
RIGHTS: Final = (0, 1, 2, 4, 8, 12, 16)
LEFTS: Final = (1, 2, 4, 8, 16)
CHUNKS: Final = 2
"""Measured of each kind."""

Pass = Callable[[], Tensor]


def timed_ms(work: Pass, device: torch.device) -> tuple[Tensor, float]:
    """What it made, and its milliseconds: of one thread on a CPU, on the clock for a GPU."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.thread_time
    if on_gpu:
        torch.cuda.synchronize(device)
    begun = clock()
    made = work()
    if on_gpu:
        torch.cuda.synchronize(device)
    return made, 1000 * (clock() - begun)


def causal_figures(decoder: LTXVideoDecoder3d, latents: Tensor) -> dict[str, float]:
    """Cost of a chunk, what it must remember, and how far the stream is from the whole."""
    clip = latents[:, :, : CHUNKS + 1]
    stream = CausalDecoder(decoder, clip[:, :, :1])
    parts = [clip[:, :, place : place + 1] for place in range(1, CHUNKS + 1)]
    made = [timed_ms(partial(stream.push, part), clip.device) for part in parts]
    with torch.inference_mode():
        whole = walk(decoder, clip, PastOnly(None))[:, :, 1:]
    streamed = torch.cat([frames for frames, _ in made], dim=2)
    return {
        "latency_ms": 0.0,
        "chunk_ms": round(median(ms for _, ms in made), 1),
        "memory_mb": round(stream.memory_bytes / 1e6, 3),
        "largest_error": float((streamed - whole).abs().max()),
    }


def window_figures(
    decoder: LTXVideoDecoder3d, latents: Tensor, exact: list[Tensor], left: int, right: int
) -> dict[str, float]:
    """Cost of a chunk that sees so many latents of each side, and its error.

    relative_error: RMS of the difference to the exact frames, in their RMS about their mean.
    """
    first, error, spread, spent = reaches(decoder)[0], 0.0, 0.0, []
    for place, frames in enumerate(exact, start=first):
        window = latents[:, :, place - left : place + 1 + right]
        made, ms = timed_ms(partial(decode_in_window, decoder, window, left), latents.device)
        error += float((made.float() - frames).square().mean())
        spread += float(frames.var())
        spent.append(ms)
    return {
        "left": left,
        "right": right,
        "latency_ms": right * CHUNK_US / 1000,
        "chunk_ms": round(median(spent), 1),
        "relative_error": float(f"{(error / spread) ** 0.5:.3g}"),
    }


def measure(autoencoder: AutoencoderKLLTXVideo, side: int) -> dict[str, Any]:
    """Everything about one autoencoder, on its device and in its precision."""
    decoder = autoencoder.decoder
    reach = reaches(decoder)[0]
    weight = decoder.conv_in.conv.weight
    space = LatentSpace.of(autoencoder, *[side * autoencoder.spatial_compression_ratio] * 2)
    tokens, channels = space.token_shape
    dice = torch.Generator().manual_seed(0)
    noise = torch.randn((1, tokens * (2 * reach + CHUNKS), channels), generator=dice)
    latents = space.latents(noise.to(space.mean.device)).to(weight.device, weight.dtype)
    exact = [
        decode_in_window(decoder, latents, place).float() for place in range(reach, reach + CHUNKS)
    ]
    rights = [right for right in RIGHTS if right < reach] + [reach]
    lefts = [left for left in LEFTS if left < reach]
    return {
        "reach_latents": reach,
        "causal": causal_figures(decoder, latents),
        "run_ahead": [window_figures(decoder, latents, exact, reach, r) for r in rights],
        "run_ahead_with_less_past": [
            window_figures(decoder, latents, exact, left, reach) for left in lefts
        ],
    }


def released_arithmetic() -> dict[str, Any]:
    """Work and memory of one chunk of 256 x 256 at the released size: counted, not run."""
    config, side = SIZES["released"]
    with torch.device("meta"):
        decoder = AutoencoderKLLTXVideo(**config).eval().decoder.to(torch.bfloat16)
        latents = torch.empty((1, 128, 64, side, side), dtype=torch.bfloat16)
    reach, chunk = reaches(decoder)[0], latents[:, :, :1]
    stream = CausalDecoder(decoder, chunk)
    return {
        "reach_latents": reach,
        "causal_gflop": counted_gflop(lambda: stream.push(chunk)),
        "causal_memory_mb_bf16": round(stream.memory_bytes / 1e6, 3),
        "run_ahead_gflop": {
            right: counted_gflop(
                partial(decode_in_window, decoder, latents[:, :, : reach + 1 + right], reach)
            )
            for right in (*RIGHTS, reach)
        },
    }


def counted_gflop(work: Pass) -> float:
    """Floating-point operations of the products in `work`."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(round(counter.get_total_flops() / 1e9, 1))


def table(found: dict[str, Any]) -> Table:
    """For people."""
    shown = Table(
        title=f"LTX decoding, {found['size']}, {found['weights']} weights, {found['device']}"
    )
    for name in ("strategy", "latency", "a chunk", "relative error"):
        shown.add_column(name, justify="left" if name == "strategy" else "right")
    causal = found["causal"]
    shown.add_row("causal", "0 ms", f"{causal['chunk_ms']:.1f} ms", "0 of the causal decode")
    for name in ("run_ahead", "run_ahead_with_less_past"):
        for row in found[name]:
            shown.add_row(
                f"run_ahead, {row['left']} before, R = {row['right']}",
                f"{row['latency_ms']:.0f} ms",
                f"{row['chunk_ms']:.1f} ms",
                f"{row['relative_error']:.2g}",
            )
    released = found["released_size"]
    shown.caption = (
        f"released size, GFLOP a chunk: causal {released['causal_gflop']:.0f}; run_ahead "
        + ", ".join(f"R={r}: {work:.0f}" for r, work in released["run_ahead_gflop"].items())
    )
    return shown


def main() -> None:
    """Measure, and write what was found as JSON."""
    parser = argparse.ArgumentParser(description="Compare the ways to decode LTX latents.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", choices=sorted(SIZES), help="default: as the device can bear")
    parser.add_argument("--vae", type=Path, help="measure these weights, in pictures of that size")
    chosen = parser.parse_args()
    on_gpu = chosen.device.startswith("cuda")
    size = chosen.size or ("released" if on_gpu else "quarter")
    if not on_gpu:
        torch.set_num_threads(1)
    config, side = SIZES[size]
    dtype = torch.bfloat16 if on_gpu else torch.float32
    if chosen.vae is None:
        autoencoder = random_autoencoder(config)
        autoencoder.decoder.to(chosen.device, dtype)
    else:
        autoencoder = load_autoencoder(chosen.vae, chosen.device, dtype)
    found = {
        "machine": machine(),
        "commit": commit(),
        "size": size,
        "weights": "random" if chosen.vae is None else chosen.vae.name,
        "device": torch.cuda.get_device_name(chosen.device) if on_gpu else "cpu, one thread",
        "dtype": str(dtype),
        "torch": torch.__version__,
        **measure(autoencoder, side),
        "released_size": released_arithmetic(),
        "gpu_memory_mb": round(torch.cuda.max_memory_allocated() / 1e6) if on_gpu else 0,
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    Console().print(table(found))


if __name__ == "__main__":
    main()
