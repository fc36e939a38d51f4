"""Recorded numbers of the speech decoder, and models made from them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import FlowGeometry, VocoderGeometry
from actor_server.speech.vocoder import Vocoder

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "glm4voice"


@cache
def numbers(name: str) -> dict[str, Tensor]:
    """All tensors of a fixture."""
    return load_file(GOLDEN / f"{name}.safetensors")


@cache
def facts(name: str) -> dict[str, Any]:
    """What the fixture's JSON says: sizes, rules, tolerances."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def weights(name: str) -> dict[str, Tensor]:
    """The fixture's weights under the names of the released files."""
    return {
        key.removeprefix("weight."): tensor.clone()
        for key, tensor in numbers(name).items()
        if key.startswith("weight.")
    }


def flow_geometry(config: dict[str, Any]) -> FlowGeometry:
    """Sizes as the recordings name them."""
    return FlowGeometry(
        codes=config["vocab_size"],
        width=config["enc"],
        layers=config["num_blocks"],
        heads=config["heads"],
        ffn_width=config["linear_units"],
        unet_width=config["channels"][0],
        unet_layers=config["n_blocks"],
        unet_heads=config["num_heads"],
        unet_head_dim=config["head_dim"],
        mid_blocks=config["num_mid_blocks"],
    )


def vocoder_geometry(config: dict[str, Any]) -> VocoderGeometry:
    """Sizes as the recordings name them."""
    return VocoderGeometry(config["base_channels"], config["f0_predictor"]["cond_channels"])


def tiny_flow() -> FlowDecoder:
    """The recorded tiny flow decoder."""
    flow = FlowDecoder(flow_geometry(facts("m3_flow_tiny")["config"])).eval()
    flow.load_state_dict(weights("m3_flow_tiny"))
    return flow.requires_grad_(False)


def tiny_vocoder() -> Vocoder:
    """The recorded tiny vocoder."""
    vocoder = Vocoder(vocoder_geometry(facts("m4_hift_tiny")["config"])).eval()
    vocoder.load_state_dict(weights("m4_hift_tiny"))
    vocoder.fold_weight_norm()
    return vocoder.requires_grad_(False)


def close(actual: Tensor, expected: Tensor, *, atol: float, rtol: float = 0.0) -> None:
    """The two agree within the fixture's tolerance."""
    torch.testing.assert_close(actual, expected, atol=atol, rtol=rtol)
