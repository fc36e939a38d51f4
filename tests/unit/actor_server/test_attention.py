"""The attention that a GPU computes is the one that a CPU computes."""

import pytest
import torch

from actor_server.model.layers import (
    KeyValues,
    additive,
    attention_by_group,
    attention_over_heads,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("mask_shape", [(3, 1, 5, 7), (1, 1, 5, 7), (5, 7)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_as_rows_are_groups_of_heads(groups: int, mask_shape: tuple[int, ...]) -> None:
    dice = torch.Generator().manual_seed(groups)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=dice, dtype=torch.float64)

    longer = KeyValues(normal(3, groups, 9, 8), normal(3, groups, 9, 8))
    seen = KeyValues(longer.keys[:, :, :7], longer.values[:, :, :7])  # as the cache gives them
    mask = additive(torch.rand(mask_shape, generator=dice) < 0.6, torch.float64)
    mask[..., 0] = 0.0
    queries = normal(3, 5, 4, 8).transpose(1, 2)
    expected = attention_over_heads(queries, seen, mask)
    torch.testing.assert_close(attention_by_group(queries, seen, mask), expected)
