"""Weights in one byte a number: how far they are from the full ones, and what that changes."""

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from actor_server.evaluation import float8 as command
from actor_server.evaluation.float8 import float8_error, relative_error
from actor_server.model.float8 import Float8Linear, quantised, use_float8
from actor_server.weights import SamplerDefaults, load_actor, save_actor
from tests.unit.actor_server.small_actor import small_model

pytestmark = pytest.mark.unit
log = logging.getLogger(__name__)

HALF_STEP = 2**-4
"""Of a number with three binary places after the first."""
LEAST_HALF_STEP = 2**-10
"""Of the numbers too small for that, before they are scaled."""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "actor.safetensors"
    save_actor(path, small_model(), SamplerDefaults(6, 2), "")
    return path


def float8_of(linear: nn.Linear) -> Float8Linear:
    layers = nn.Sequential(linear)
    use_float8(layers)
    weight, scale = quantised(linear.weight.detach())
    bias = {} if linear.bias is None else {"0.bias": linear.bias.detach()}
    layers.load_state_dict({"0.weight": weight, "0.scale": scale} | bias)
    (made,) = layers
    assert isinstance(made, Float8Linear)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_weight_is_the_nearest_that_float8_has(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    rows = torch.randn(64, 96) * torch.logspace(-4, 3, 64)[:, None]
    rows = rows.to(dtype).float()
    weight, scale = quantised(rows.to(dtype))
    assert (weight.dtype, scale.dtype) == (torch.float8_e4m3fn, torch.float32)
    off = (weight.float() * scale[:, None] - rows).abs()
    bound = torch.maximum(rows.abs() * HALF_STEP, scale[:, None] * LEAST_HALF_STEP)
    assert (off <= bound * (1 + 1e-5)).all()
    largest = rows.abs().amax(1)
    torch.testing.assert_close((weight.float() * scale[:, None]).abs().amax(1), largest)


def test_a_row_of_zeros_stays_zero() -> None:
    weight, scale = quantised(torch.tensor([[0.0, 0.0], [1e-38, -3.0]]))
    assert weight.float().isfinite().all()
    assert not (weight.float() * scale[:, None])[0].any()


@torch.inference_mode()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_multiplies_by_its_float8_weights(bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 64, bias=bias)
    small = float8_of(linear)
    x = torch.randn(3, 5, 96).to(dtype)
    exact = nn.functional.linear(
        x.double(),
        small.weight.double() * small.scale.double()[:, None],
        None if linear.bias is None else linear.bias.double(),
    )
    made = small(x)
    assert made.dtype is dtype
    assert relative_error(made.double(), exact) < (1e-2 if dtype is torch.bfloat16 else 1e-6)


def test_all_layers_matrices_are_float8_and_nothing_else(saved: Path) -> None:
    model, _ = load_actor(saved, float8=True)
    for name, tensor in model.state_dict().items():
        matrix = name.startswith("layers.") and "_proj.weight" in name
        assert tensor.dtype is (torch.float8_e4m3fn if matrix else torch.float32)


@torch.inference_mode()
def test_velocities_change_by_little_and_by_more_than_in_bfloat16(saved: Path) -> None:
    found = float8_error(saved)
    log.info("relative errors: %s", found)
    assert found.velocity is not None
    assert 0.005 < found.velocity < 0.1
    assert 0.005 < found.hidden < 0.1
    assert found.float8_bytes < found.full_bytes


def test_an_untrained_model_has_no_velocities_to_compare(tmp_path: Path) -> None:
    model = small_model()
    model.velocity.weight.zero_()
    model.velocity.bias.zero_()
    save_actor(tmp_path / "actor.safetensors", model, SamplerDefaults(1, 1), "")
    found = float8_error(tmp_path / "actor.safetensors")
    assert found.velocity is None
    assert found.hidden > 0


def test_the_command_prints_the_error_or_what_is_wrong(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["float8", "--weights", str(saved)])
    assert command.main() == 0
    printed = capsys.readouterr().out
    figures = dataclasses.asdict(float8_error(saved))
    assert f"velocities: relative error {figures['velocity']:.2%}" in printed
    assert f"last hidden states: relative error {figures['hidden']:.2%}" in printed
    monkeypatch.setattr("sys.argv", ["float8", "--weights", str(saved.parent)])
    assert command.main() == 2
    assert "lacks model.safetensors" in capsys.readouterr().err
