"""The weight file: what goes in comes out, and a bad one says what to do."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from actor_server.errors import WeightsUnusable
from actor_server.tensor_files import TensorFiles
from actor_server.weights import (
    STATISTICS,
    SamplerDefaults,
    load_actor,
    save_actor,
    save_actor_shards,
)
from tests.unit.actor_server.small_actor import SMALL, small_model

pytestmark = pytest.mark.unit

SAMPLER = SamplerDefaults(steps=6, window=2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "actor.safetensors"
    save_actor(path, small_model(), SAMPLER, "trained on nothing")
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """The same model in bfloat16, in more than two files."""
    directory, model = tmp_path / "actor", small_model().bfloat16()
    tensors = model.state_dict().items()
    save_actor_shards(directory, SMALL, tensors, SAMPLER, "trained on nothing", shard_bytes=30_000)
    assert len(TensorFiles(directory).files) > 2
    return directory


def rewritten(path: Path, **metadata: str) -> Path:
    """The same tensors under other metadata."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = file.metadata() | metadata
    save_file(tensors, path, {key: value for key, value in found.items() if value})
    return path


def test_what_is_saved_is_loaded(saved: Path) -> None:
    before = small_model().state_dict()
    model, sampler = load_actor(saved)
    after = model.state_dict()
    assert sampler == SAMPLER
    assert model.geometry == small_model().geometry
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        assert tensor.dtype is before[name].dtype
        torch.testing.assert_close(tensor, before[name], rtol=1e-3, atol=1e-5)


def test_a_loaded_model_is_ready_to_sample(saved: Path) -> None:
    model, _ = load_actor(saved)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_matrices_take_two_bytes_and_latent_statistics_keep_their_precision(saved: Path) -> None:
    model = small_model()
    assert saved.stat().st_size < 2.3 * sum(p.numel() for p in model.parameters()) + 20_000
    loaded, _ = load_actor(saved)
    assert torch.equal(loaded.latent_mean, model.latent_mean)
    assert torch.equal(loaded.latent_std, model.latent_std)


def test_the_recipe_travels_with_the_weights(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        assert file.metadata()["recipe"] == "trained on nothing"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match=r"no weight file .*gone.*teacher"):
        load_actor(tmp_path / "gone")


@pytest.mark.parametrize("kept", [0, 5, 200, -10])
def test_a_file_that_is_cut_short_is_recognised(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(WeightsUnusable, match="damaged or cut short"):
        load_actor(saved)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"version": "7"}, "version 7, this program reads version 1"),
        ({"format": "another"}, "no weight file of the Actor"),
        ({"format": ""}, "no weight file of the Actor"),
        ({"geometry": "{}"}, "does not hold this Actor"),
        ({"sampler": '{"steps": 2, "window": 5}'}, "does not hold this Actor"),
        ({"sampler": ""}, "does not hold this Actor"),
    ],
)
def test_a_file_of_something_else_is_refused(
    saved: Path, metadata: dict[str, str], words: str
) -> None:
    with pytest.raises(WeightsUnusable, match=words):
        load_actor(rewritten(saved, **metadata))


def test_weights_of_another_size_are_refused(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        geometry = file.metadata()["geometry"].replace('"ffn_width": 48', '"ffn_width": 64')
    with pytest.raises(WeightsUnusable, match="does not hold this Actor"):
        load_actor(rewritten(saved, geometry=geometry))


def test_nothing_is_left_beside_the_file(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize(("steps", "window"), [(0, 1), (4, 0), (4, 5)])
def test_more_chunks_in_flight_than_passes_make_no_sense(steps: int, window: int) -> None:
    with pytest.raises(ValueError, match="passes"):
        SamplerDefaults(steps, window)


def test_shards_are_the_model_that_one_file_is(saved: Path, shards: Path) -> None:
    one, other = load_actor(saved)[0].state_dict(), load_actor(shards)[0].state_dict()
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype is other[name].dtype is torch.float32
        torch.testing.assert_close(other[name], tensor, rtol=2**-7, atol=1e-5)


def test_bfloat16_stays_bfloat16_to_the_bit_but_latent_statistics_are_single(shards: Path) -> None:
    model, sampler = load_actor(shards, dtype=torch.bfloat16)
    assert sampler == SAMPLER
    for name, tensor in small_model().bfloat16().state_dict().items():
        loaded = model.state_dict()[name]
        assert loaded.dtype is (torch.float32 if name in STATISTICS else torch.bfloat16)
        assert torch.equal(loaded, tensor.to(loaded.dtype))


def test_a_model_in_bfloat16_is_saved_as_it_is(tmp_path: Path) -> None:
    """Half precision of the other kind ends at 65,504."""
    model = small_model().bfloat16()
    model.velocity.weight[0, 0] = 1e6
    save_actor(tmp_path / "actor.safetensors", model, SAMPLER, "")
    loaded, _ = load_actor(tmp_path / "actor.safetensors", dtype=torch.bfloat16)
    assert torch.equal(loaded.velocity.weight, model.velocity.weight)


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    before = torch.get_rng_state()
    load_actor(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_directory_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match=r"lacks model\.safetensors"):
        load_actor(tmp_path)


def test_a_missing_shard_is_named(shards: Path) -> None:
    (shards / "model-00002.safetensors").unlink()
    with pytest.raises(WeightsUnusable, match=r"actor lacks model-00002\.safetensors"):
        load_actor(shards)


def test_a_shard_that_is_cut_short_is_named(shards: Path) -> None:
    shard = shards / "model-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(WeightsUnusable, match=r"model-00002\.safetensors is damaged or cut short"):
        load_actor(shards)


def test_a_shard_of_another_model_is_named(shards: Path) -> None:
    rewritten(shards / "model-00002.safetensors", recipe="trained on something")
    with pytest.raises(WeightsUnusable, match=r"model-00002\.safetensors belongs to another model"):
        load_actor(shards)


def test_tensors_that_are_not_the_models_are_named(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors["extra"] = tensors.pop("norm.weight")
    tensors["velocity.bias"] = torch.zeros(3)
    save_file(tensors, saved, metadata)
    words = r"missing: norm\.weight; unknown: extra; .* velocity\.bias is \[3\], must be \[31\]"
    with pytest.raises(WeightsUnusable, match=words):
        load_actor(saved)
