"""`python -m actor_server.speech.tiny --out DIR`: a small random decoder in the released layout.

It takes every code of the released codebook and makes noise with a pitch: enough for whole calls
without the released weights.
"""

import argparse
import json
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from actor_server.speech.checkpoint import (
    FLOW_FILE,
    GEOMETRY_FILE,
    VOCODER_FILE,
    stored_name,
)
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import FlowGeometry, SpeechGeometry, VocoderGeometry
from actor_server.speech.vocoder import FFT_BINS, Vocoder

TINY: Final = SpeechGeometry(
    FlowGeometry(
        width=16,
        layers=1,
        heads=2,
        ffn_width=32,
        unet_width=16,
        unet_layers=1,
        unet_heads=2,
        unet_head_dim=8,
        mid_blocks=1,
    ),
    VocoderGeometry(width=16, f0_width=16),
)
PITCH_HZ: Final = 140.0
LOUDNESS: Final = -1.5
"""Added to the log magnitudes: speech is not always as loud as it can be."""


def write_tiny(folder: Path, seed: int = 0) -> None:
    """Write the files of a decoder whose weights are random numbers."""
    dice = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    flow = random_tensors(FlowDecoder(TINY.flow), dice)
    vocoder = random_tensors(Vocoder(TINY.vocoder), dice)
    vocoder["f0_predictor.classifier.bias"] += PITCH_HZ
    vocoder["conv_post.bias"][:FFT_BINS] += LOUDNESS
    torch.save(flow, folder / FLOW_FILE)
    torch.save(vocoder, folder / VOCODER_FILE)
    (folder / GEOMETRY_FILE).write_text(json.dumps(TINY.to_dict(), indent=1) + "\n")


def random_tensors(model: nn.Module, dice: torch.Generator) -> dict[str, Tensor]:
    """Random tensors under the names of the model's file; signals keep their size in them."""
    tensors = {}
    for name, like in model.state_dict().items():
        stored = stored_name(name)
        noise = torch.randn(like.shape, generator=dice)
        if like.ndim == 1:
            level = 1.0 if stored.endswith(("weight", "alpha")) else 0.0
            tensors[stored] = level + 0.05 * noise
        else:
            tensors[stored] = noise * like[0].numel() ** -0.5
    for name, magnitude in tensors.items():
        if name.endswith("weight_g"):
            direction = tensors[name.removesuffix("g") + "v"]
            magnitude.copy_(direction.flatten(1).norm(dim=1)[:, None, None])
    return tensors


def main() -> None:
    """Write a tiny decoder where the command line says."""
    parser = argparse.ArgumentParser(description="Write a tiny random speech decoder.")
    parser.add_argument("--out", type=Path, required=True, help="directory to write into")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    write_tiny(chosen.out, chosen.seed)


if __name__ == "__main__":
    main()
