"""The autoencoder's files: what diffusers writes is read, and what is wrong is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLLTXVideo
from safetensors.torch import load_file, save_file
from torch import Tensor

from actor_server.codec.ltx.checkpoint import load_autoencoder, save_autoencoder
from actor_server.codec.ltx.tiny import random_autoencoder
from actor_server.errors import LtxWeightsUnusable
from tests.unit.actor_server.ltx.autoencoders import (
    RELEASES,
    V090,
    V091,
    random_latents,
    whole_decode,
)

pytestmark = pytest.mark.unit

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random_autoencoder(V090).save_pretrained(tmp_path)
    return tmp_path


def change_weights(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("release", RELEASES)
def test_what_diffusers_writes_is_read(release: str, tmp_path: Path) -> None:
    written = random_autoencoder(RELEASES[release])
    written.save_pretrained(tmp_path)
    read = load_autoencoder(tmp_path)
    ours = read.state_dict()
    for name, tensor in written.state_dict().items():
        if "per_channel_scale" not in name:
            assert torch.equal(ours[name], tensor)
    assert not any(module.training for module in read.modules())
    assert not any(parameter.requires_grad for parameter in read.parameters())


def test_what_is_written_is_read_by_diffusers(tmp_path: Path) -> None:
    written = random_autoencoder(V090 | {"decoder_causal": True})
    save_autoencoder(tmp_path, written)
    read = AutoencoderKLLTXVideo.from_pretrained(tmp_path, local_files_only=True)
    assert read.config.decoder_causal
    latents = random_latents(2)
    assert torch.equal(whole_decode(read, latents), whole_decode(written, latents))


def test_the_decoders_noise_stays_out(tmp_path: Path) -> None:
    noisy = random_autoencoder(V091)
    for name, parameter in noisy.decoder.named_parameters():
        if "per_channel_scale" in name:
            parameter.fill_(1.0)
    latents = random_latents(2)
    assert not torch.equal(whole_decode(noisy, latents), whole_decode(noisy, latents))
    noisy.save_pretrained(tmp_path / "released")
    silent = load_autoencoder(tmp_path / "released")
    made = whole_decode(silent, latents)
    assert torch.equal(made, whole_decode(silent, latents))
    save_autoencoder(tmp_path / "ours", silent)
    assert torch.equal(made, whole_decode(load_autoencoder(tmp_path / "ours"), latents))


def test_half_precision_leaves_the_statistics_exact(folder: Path) -> None:
    read = load_autoencoder(folder, dtype=torch.bfloat16)
    assert read.decoder.conv_in.conv.weight.dtype == torch.bfloat16
    assert torch.equal(read.latents_std, load_file(folder / WEIGHTS)["latents_std"])


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"a pickle, which nobody opens")
    with pytest.raises(LtxWeightsUnusable, match=rf"{name} is missing: give a directory"):
        load_autoencoder(folder)


@pytest.mark.parametrize("kept", [0, 100, -1000])
def test_a_file_cut_short_is_damaged(folder: Path, kept: int) -> None:
    file = folder / WEIGHTS
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(LtxWeightsUnusable, match="damaged or cut short"):
        load_autoencoder(folder)


def test_sizes_that_are_no_json_are_damaged(folder: Path) -> None:
    (folder / "config.json").write_text('{"_class_name": "Auto')
    with pytest.raises(LtxWeightsUnusable, match=r"config\.json is damaged"):
        load_autoencoder(folder)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda t: t.pop("decoder.conv_in.conv.weight"), r"missing: decoder\.conv_in\.conv\.w"),
        (lambda t: t.update(more=torch.zeros(1)), "unknown: more"),
        (lambda t: t.update(latents_std=torch.ones(5)), r"latents_std is \[5\], must be \[6\]"),
        (lambda t: t["latents_std"][0].zero_(), "latents without spread"),
    ],
    ids=["missing", "unknown", "shape", "spread"],
)
def test_tensors_that_do_not_fit_are_named(
    folder: Path, edit: Callable[[dict[str, Tensor]], object], said: str
) -> None:
    change_weights(folder, edit)
    with pytest.raises(LtxWeightsUnusable, match=said):
        load_autoencoder(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"_class_name": "AutoencoderKL"}, "describes AutoencoderKL, not"),
        ({"decoder_moods": 3}, "describes no LTX autoencoder .*decoder_moods"),
        ({"layers_per_block": [1]}, "describes no LTX autoencoder"),
        ({"temporal_compression_ratio": 4}, "packs 4/8 frames into a latent, a chunk has 8"),
        ({"latent_channels": 7}, "of another shape"),
    ],
    ids=["class", "key", "lengths", "time", "channels"],
)
def test_sizes_of_something_else_are_refused(
    folder: Path, values: dict[str, Any], said: str
) -> None:
    change_config(folder, **values)
    with pytest.raises(LtxWeightsUnusable, match=said):
        load_autoencoder(folder)
