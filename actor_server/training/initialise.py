"""Begin an Actor with a language model's layers, before its first step of training.

    python -m actor_server.training.initialise --language-model DIR --out DIR

DIR holds a GLM as transformers' GlmForCausalLM reads it: a config.json beside safetensors. The
Actor's self-attention, norms and MLPs are its tensors, bit for bit. Its cross-attention writes
zeros, and what brings latents in and velocities out is new. Memory holds one shard.

Source: X-Streamer, section 3.2.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub.errors import StrictDataclassError
from rich.progress import track
from torch import Size, Tensor, nn
from transformers import GlmConfig

from actor_server.errors import LanguageModelUnusable, TensorsUnreadable
from actor_server.model.empty import empty_actor
from actor_server.model.geometry import PAPER_9B, ActorGeometry
from actor_server.model.layers import Attention, begin_linears
from actor_server.model.video_transformer import VideoTransformer
from actor_server.tensor_files import SHARD_BYTES, TensorFiles
from actor_server.tensor_table import differences
from actor_server.weights import SamplerDefaults, save_actor_shards

PAPER_SAMPLER: Final = SamplerDefaults(steps=25, window=5)
GLM_4: Final = {
    "hidden_act": "silu",
    "attention_bias": True,
    "rope_type": "default",
    "partial_rotary_factor": 0.5,
}
"""What the Actor's layers compute."""
THEIR_PREFIX: Final = "model."
"""What a language model puts in front of names that are otherwise the Actor's."""
LEFT_BEHIND: Final = ("model.embed_tokens.weight", "lm_head.weight")
"""What a language model has and an Actor has no use for."""


def initialise(
    language_model: Path,
    out: Path,
    sampler: SamplerDefaults = PAPER_SAMPLER,
    *,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> ActorGeometry:
    """Make the directory `out` of an untrained Actor's weights; its geometry.

    Raises: LanguageModelUnusable, FileExistsError.
    """
    geometry = geometry_like(read_config(language_model))
    adopted = adopted_shapes(geometry)
    recipe = f"untrained: layers of {language_model.name}, the rest new with seed {seed}"
    torch.manual_seed(seed)
    try:
        files = TensorFiles(language_model)
        found = {name: shape for name, shape in files.shapes.items() if name not in LEFT_BEHIND}
        if problems := differences(found, adopted):
            raise TensorsUnreadable(f"{language_model} is not as its config.json says ({problems})")
        tensors = _tensors(files, geometry)
        save_actor_shards(out, geometry, tensors, sampler, recipe, shard_bytes)
    except TensorsUnreadable as error:
        raise LanguageModelUnusable(str(error)) from error
    return geometry


def read_config(language_model: Path) -> GlmConfig:
    """The sizes of a language model. Raises LanguageModelUnusable."""
    file = language_model / "config.json"
    try:
        facts = json.loads(file.read_text("utf-8"))
        if facts["model_type"] != "glm":
            raise ValueError(f"model_type is {facts['model_type']}")
        return GlmConfig.from_dict(facts)
    except (OSError, KeyError, TypeError, ValueError, StrictDataclassError) as error:
        raise LanguageModelUnusable(f"{file} describes no GLM ({error})") from error


def geometry_like(config: GlmConfig, video: ActorGeometry = PAPER_9B) -> ActorGeometry:
    """`video` with the layers of a language model: PAPER_9B's own are GLM-4-Voice-9B's.

    Raises: LanguageModelUnusable where the Actor's layers would compute something else.
    """
    rotary: dict[str, Any] = dict(config.rope_parameters or {})
    found = {
        "hidden_act": config.hidden_act,
        "attention_bias": config.attention_bias,
        "rope_type": rotary.get("rope_type"),
        "partial_rotary_factor": rotary.get("partial_rotary_factor"),
    }
    if found != GLM_4:
        raise LanguageModelUnusable(f"the language model has {found}, GLM-4 has {GLM_4}")
    width, heads = config.hidden_size, config.num_attention_heads
    head_dim = config.head_dim or width // heads
    try:
        return replace(
            video,
            layers=config.num_hidden_layers,
            width=width,
            heads=heads,
            kv_heads=config.num_key_value_heads or heads,
            head_dim=head_dim,
            ffn_width=config.intermediate_size,
            rotary_pairs=_over_axes(head_dim // 4),
            sight=replace(video.sight, state_width=width),
            rope_theta=rotary["rope_theta"],
            norm_eps=config.rms_norm_eps,
        )
    except ValueError as error:
        raise LanguageModelUnusable(f"no Actor has such layers ({error})") from error


def adopted_shapes(geometry: ActorGeometry) -> dict[str, Size]:
    """Name in the language model, and shape, of what the Actor takes over."""
    return {
        f"{THEIR_PREFIX}{name}": tensor.shape
        for name, tensor in empty_actor(geometry).state_dict().items()
        if name.startswith(("layers.", "norm.")) and "cross_att" not in name
    }


def _over_axes(pairs: int) -> tuple[int, int, int]:
    """Rotary pairs over t, h and w in PAPER_9B's proportion."""
    space = 3 * pairs // 8
    return pairs - 2 * space, space, space


def _tensors(files: TensorFiles, geometry: ActorGeometry) -> Iterator[tuple[str, Tensor]]:
    """All tensors of the Actor; new ones have the type of those that it takes over."""
    dtype = torch.bfloat16
    stored = track(files.tensors(), "language model", len(files.shapes), transient=True)
    for name, tensor in stored:
        if name not in LEFT_BEHIND:
            dtype = tensor.dtype
            yield name.removeprefix(THEIR_PREFIX), tensor
    for name, tensor in _new_tensors(geometry):
        yield name, tensor.to(dtype)


def _new_tensors(geometry: ActorGeometry) -> Iterator[tuple[str, Tensor]]:
    around = VideoTransformer(replace(geometry, layers=0)).state_dict()
    yield from ((name, tensor) for name, tensor in around.items() if name != "norm.weight")
    for layer in track(range(geometry.layers), "cross-attention", transient=True):
        attention = Attention(geometry, geometry.condition_width)
        begin_linears(attention)
        nn.init.zeros_(attention.o_proj.weight)
        for name, tensor in attention.state_dict().items():
            yield f"layers.{layer}.cross_attn.{name}", tensor
        yield f"layers.{layer}.cross_attention_layernorm.weight", torch.ones(geometry.width)


def main() -> int:
    """Exit code 0 when the weights are there, 2 when the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--language-model", type=Path, required=True, help="directory of a GLM")
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    parser.add_argument("--seed", type=int, default=0, help="of what is new")
    parser.add_argument("--steps", type=int, default=PAPER_SAMPLER.steps, help="passes a chunk")
    parser.add_argument("--window", type=int, default=PAPER_SAMPLER.window, help="chunks in flight")
    options = parser.parse_args()
    try:
        sampler = SamplerDefaults(options.steps, options.window)
        geometry = initialise(options.language_model, options.out, sampler, seed=options.seed)
    except (LanguageModelUnusable, FileExistsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: an untrained Actor of {geometry.layers} layers, width {geometry.width}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
