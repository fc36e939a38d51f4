"""The quick linear layer is a linear layer."""

import pytest
import torch
from torch import nn

from thinker_server.brain.single_token import SingleTokenLinear, speed_up_decoding

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 48), (48,), (1, 5, 48), (2, 3, 48), (0, 48)])
def test_it_gives_what_the_plain_layer_gives(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 31, bias=bias, dtype=torch.bfloat16)
    quick = nn.Linear(48, 31, bias=bias, dtype=torch.bfloat16)
    quick.load_state_dict(plain.state_dict())
    speed_up_decoding(quick)
    assert type(quick) is SingleTokenLinear
    given = torch.randn(shape, dtype=torch.bfloat16)
    torch.testing.assert_close(quick(given), plain(given), rtol=0.02, atol=0.02)


def test_models_of_other_number_types_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    speed_up_decoding(model)
    assert type(model[0]) is nn.Linear
