"""The quick linear layer is a linear layer."""

import pytest
import torch
from torch import nn

from thinker_server.brain.single_token import (
    SHORT_LIST,
    ScoresLinear,
    SingleTokenLinear,
    four_bits,
    speed_up_decoding,
)

pytestmark = pytest.mark.unit

OUTPUTS, INPUTS = 48, 96
SHAPES = [(1, 1, INPUTS), (INPUTS,), (1, 5, INPUTS), (2, 3, INPUTS), (0, INPUTS)]


def weights_of_four_bits() -> torch.Tensor:
    """(O, I) bfloat16 on 16 levels per block of 32, both ends used, as GGUF's Q4_1 leaves them."""
    levels = torch.randint(0, 16, (OUTPUTS, INPUTS // 32, 32))
    levels[..., 0], levels[..., 1] = 0, 15
    scale = torch.rand(OUTPUTS, INPUTS // 32, 1) * 0.02 + 0.001
    least = -8 * scale + 0.01 * torch.randn(OUTPUTS, INPUTS // 32, 1)
    return (least + levels * scale).flatten(1).bfloat16()


def quick_and_plain(weight: torch.Tensor, bias: bool) -> tuple[nn.Linear, nn.Linear]:
    plain = nn.Linear(INPUTS, OUTPUTS, bias=bias, dtype=weight.dtype)
    plain.weight.data = weight
    quick = nn.Linear(INPUTS, OUTPUTS, bias=bias, dtype=weight.dtype)
    quick.load_state_dict(plain.state_dict())
    speed_up_decoding(quick)
    return quick, plain


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("from_four_bits", [True, False])
def test_it_gives_what_the_plain_layer_gives(
    shape: tuple[int, ...], bias: bool, from_four_bits: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    weight = weights_of_four_bits() if from_four_bits else torch.randn(OUTPUTS, INPUTS).bfloat16()
    quick, plain = quick_and_plain(weight.to(dtype), bias)
    assert isinstance(quick, SingleTokenLinear)
    assert (quick.four_bits is not None) == from_four_bits
    given = torch.randn(shape, dtype=dtype)
    assert quick(given).dtype == dtype
    torch.testing.assert_close(quick(given), plain(given), rtol=0.02, atol=0.02)


def test_only_weights_that_lie_on_sixteen_levels_are_packed() -> None:
    torch.manual_seed(0)
    weight = weights_of_four_bits()
    assert four_bits(weight) is not None
    weight[3, 40] += 0.3 * (weight[3, 32:64].max() - weight[3, 32:64].min()) / 15
    assert four_bits(weight) is None


@pytest.mark.parametrize("shape", [(OUTPUTS, INPUTS - 1), (OUTPUTS - 1, INPUTS)])
def test_matrices_that_the_kernel_cannot_take_are_not_packed(shape: tuple[int, int]) -> None:
    assert four_bits(torch.zeros(shape, dtype=torch.bfloat16)) is None


def test_a_constant_matrix_is_packed_without_dividing_by_nothing() -> None:
    quick, plain = quick_and_plain(torch.full((OUTPUTS, INPUTS), 0.5).bfloat16(), False)
    given = torch.randn(1, INPUTS).bfloat16()
    torch.testing.assert_close(quick(given), plain(given), rtol=0.02, atol=0.02)


def scores_of(weight: torch.Tensor, bias: bool = False) -> nn.Linear:
    """The quick layer of a vocabulary with these weights (V, I)."""
    made = nn.Linear(INPUTS, len(weight), bias=bias, dtype=weight.dtype)
    made.weight.data = weight
    speed_up_decoding(made, made)
    return made


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_best_of_a_vocabulary_are_exact_and_the_others_nearly_so(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight = torch.randn(20 * SHORT_LIST, INPUTS, dtype=dtype)
    quick = scores_of(weight)
    assert isinstance(quick, ScoresLinear)
    for _ in range(50):
        state = torch.randn(INPUTS, dtype=dtype)
        scores, exact = quick(state), torch.mv(weight, state)
        best = exact.topk(5).indices
        torch.testing.assert_close(scores[best], exact[best], rtol=1e-5, atol=1e-5)
        assert scores.argmax() == exact.argmax()
        torch.testing.assert_close(scores, exact, rtol=0, atol=4.0)  # the best are about 35
    several = torch.randn(1, 3, INPUTS, dtype=dtype)
    assert torch.equal(quick(several), nn.functional.linear(several, weight))


@pytest.mark.parametrize("from_four_bits", [True, False])
def test_only_scores_that_gain_by_it_are_made_rough(from_four_bits: bool) -> None:
    torch.manual_seed(0)
    weight = weights_of_four_bits() if from_four_bits else torch.randn(OUTPUTS, INPUTS).bfloat16()
    assert type(scores_of(weight, bias=not from_four_bits)) is SingleTokenLinear


def test_models_of_other_number_types_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4, dtype=torch.float64))
    speed_up_decoding(model)
    assert type(model[0]) is nn.Linear
