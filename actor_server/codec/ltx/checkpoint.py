"""LTX-Video's autoencoder as diffusers stores it: `config.json` and one safetensors file.

Nothing in the files is run: a table of tensors, checked by name and shape, and a table of sizes.
"""

import json
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    AutoencoderKLLTXVideo,
    LTXVideoResnetBlock3d,
)
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Size, Tensor, nn

from actor_server.errors import LtxWeightsUnusable
from actor_server.tensor_table import differences
from proto.time_law import CHUNK_FRAMES

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "diffusion_pytorch_model.safetensors"
CLASS_NAME: Final = "AutoencoderKLLTXVideo"
STATISTICS: Final = ("latents_mean", "latents_std")
"""Of each latent channel; kept in single precision."""


def load_autoencoder(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> AutoencoderKLLTXVideo:
    """The autoencoder in a diffusers directory, ready to use, without its decoder's noise.

    Raises: LtxWeightsUnusable, whose text says what is wrong and what to do.
    """
    config = _read_config(folder)
    try:
        with torch.device("meta"):
            autoencoder = AutoencoderKLLTXVideo(**config)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        reason = f"{folder / CONFIG_FILE} describes no LTX autoencoder ({error})"
        raise LtxWeightsUnusable(reason) from error
    _check_time(folder, autoencoder)
    _fill(autoencoder, folder / WEIGHTS_FILE, torch.device(device), dtype)
    silence(autoencoder)
    return autoencoder.eval().requires_grad_(False)


def save_autoencoder(
    folder: Path, autoencoder: AutoencoderKLLTXVideo, decoder: nn.Module | None = None
) -> None:
    """Write the directory that `load_autoencoder` and diffusers read, perhaps another decoder."""
    folder.mkdir(parents=True, exist_ok=True)
    autoencoder.save_config(folder)
    tensors = autoencoder.state_dict()
    if decoder is not None:
        tensors |= {f"decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    part = folder / f"{WEIGHTS_FILE}.part"
    save_file(stored, part, {"format": "pt"})
    part.replace(folder / WEIGHTS_FILE)


def silence(autoencoder: AutoencoderKLLTXVideo) -> None:
    """Take the random texture out of the decoder: a latent then always makes the same frames."""
    for module in autoencoder.decoder.modules():
        if isinstance(module, LTXVideoResnetBlock3d):
            module.per_channel_scale1 = None
            module.per_channel_scale2 = None
    noisy = autoencoder.config.decoder_inject_noise
    autoencoder.register_to_config(decoder_inject_noise=(False,) * len(noisy))


def _read_config(folder: Path) -> dict[str, Any]:
    """What the autoencoder is made from."""
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise LtxWeightsUnusable(f"{file} is missing")
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LtxWeightsUnusable(f"{file} is damaged or cut short ({error})") from error
    found = config.get("_class_name") if isinstance(config, dict) else None
    if found != CLASS_NAME:
        raise LtxWeightsUnusable(f"{file} describes {found or 'nothing'}, not {CLASS_NAME}")
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _check_time(folder: Path, autoencoder: AutoencoderKLLTXVideo) -> None:
    """A latent must be a chunk."""
    upsampled = 2 ** sum(autoencoder.config.decoder_spatio_temporal_scaling)
    ratios = {autoencoder.temporal_compression_ratio, upsampled}
    if autoencoder.config.patch_size_t != 1 or ratios != {CHUNK_FRAMES}:
        raise LtxWeightsUnusable(
            f"{folder / CONFIG_FILE} packs {'/'.join(str(ratio) for ratio in sorted(ratios))} "
            f"frames into a latent, a chunk has {CHUNK_FRAMES}"
        )


def _fill(
    autoencoder: AutoencoderKLLTXVideo, file: Path, device: torch.device, dtype: torch.dtype
) -> None:
    """Give an autoencoder on the meta device its weights, one tensor after the other."""
    if not file.is_file():
        raise LtxWeightsUnusable(f"{file} is missing")
    expected = {name: tensor.shape for name, tensor in autoencoder.state_dict().items()}
    try:
        with safe_open(file, framework="pt") as stored:
            names = list(stored.keys())
            shapes = {name: Size(stored.get_slice(name).get_shape()) for name in names}
            if problems := differences(shapes, expected):
                raise LtxWeightsUnusable(f"{file} does not fit {CONFIG_FILE} ({problems})")
            tensors: dict[str, Tensor] = {
                name: stored.get_tensor(name).to(
                    device, torch.float32 if name in STATISTICS else dtype
                )
                for name in names
            }
    except SafetensorError as error:
        raise LtxWeightsUnusable(f"{file} is damaged or cut short ({error})") from error
    if not bool((tensors["latents_std"] > 0).all()):
        raise LtxWeightsUnusable(f"{file} has latents without spread (latents_std)")
    autoencoder.load_state_dict(tensors, assign=True)
