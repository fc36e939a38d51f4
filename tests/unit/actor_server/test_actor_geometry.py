"""Sizes of the Actor that are asked for by hand."""

import pytest

from actor_server.model.geometry import NANO

pytestmark = pytest.mark.unit


def test_another_size_keeps_heads_and_the_ratio_of_the_mlp() -> None:
    wide = NANO.resized(layers=9, width=384, context_chunks=15)
    assert (wide.layers, wide.heads, wide.ffn_width, wide.context_chunks) == (9, 6, 1152, 15)
    assert (wide.head_dim, wide.kv_heads, wide.sight) == (NANO.head_dim, NANO.kv_heads, NANO.sight)


def test_its_own_size_is_what_it_is() -> None:
    assert NANO.resized(NANO.layers, NANO.width, NANO.context_chunks) == NANO


@pytest.mark.parametrize("width", [0, 64, 200, 320])
def test_a_width_that_heads_do_not_fill_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match="multiple of 128"):
        NANO.resized(6, width, 31)
