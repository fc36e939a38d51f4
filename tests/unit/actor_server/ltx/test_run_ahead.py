"""Run-ahead: the released decoder in a window, exact where the window holds what it sees."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from actor_server.codec.ltx.layers import reaches
from actor_server.codec.ltx.run_ahead import RunAheadDecoder, decode_in_window
from actor_server.codec.ltx.streaming import PictureForgotten
from tests.unit.actor_server.ltx.autoencoders import (
    RELEASES,
    autoencoder_like,
    chunk_frames,
    random_latents,
    whole_decode,
)

pytestmark = pytest.mark.unit


def begin(latents: Tensor, right: int = 2, left: int | None = None) -> RunAheadDecoder:
    decoder = autoencoder_like("0.9.0").decoder
    return RunAheadDecoder(decoder, latents[:, :, :1], right, left, history=1)


def push_all(stream: RunAheadDecoder, latents: Tensor) -> list[Tensor | None]:
    return [stream.push(latents[:, :, k : k + 1]) for k in range(latents.shape[2])]


@pytest.mark.parametrize("release", RELEASES)
def test_a_window_over_everything_equals_the_decode_of_the_whole(release: str) -> None:
    autoencoder = autoencoder_like(release)
    latents = random_latents(5)
    whole = whole_decode(autoencoder, latents)
    for chunk in range(4):
        made = decode_in_window(autoencoder.decoder, latents, chunk + 1)
        torch.testing.assert_close(made, chunk_frames(whole, chunk), rtol=0, atol=1e-5)


def test_the_error_falls_with_the_context_to_nothing_where_nothing_more_is_seen() -> None:
    autoencoder = autoencoder_like("0.9.0")
    reach = reaches(autoencoder.decoder)[0]
    latents = random_latents(2 * reach + 2)
    place = reach
    whole = chunk_frames(whole_decode(autoencoder, latents), place - 1)
    errors = [
        float((decode_in_window(autoencoder.decoder, part, place) - whole).abs().max())
        for part in (latents[:, :, : place + 1 + right] for right in range(reach + 1))
    ]
    rounding = 1e-5
    assert all(less <= max(more, rounding) for more, less in pairwise(errors))
    assert errors[0] > 0.01
    assert errors[1] > rounding
    assert errors[reach] <= rounding


def test_a_chunk_depends_on_as_many_neighbours_as_the_layers_say() -> None:
    autoencoder = autoencoder_like("0.9.0").double()
    # from the pixels back: 3; 3 + 2 at half of the rate; 5 + 3; 4 + 4
    assert reaches(autoencoder.decoder) == [8, 8, 5, 3]
    place = 10
    latents = random_latents(21).double().requires_grad_()
    frames = chunk_frames(whole_decode(autoencoder, latents), place - 1)
    (slope,) = torch.autograd.grad(frames.square().sum(), latents)
    moved = slope.abs().amax((0, 1, 3, 4)) > 0
    assert moved.nonzero().flatten().tolist() == list(range(place - 8, place + 9))


def test_a_chunk_is_drawn_when_the_chunks_after_it_have_come() -> None:
    latents = random_latents(6)
    stream = begin(latents, right=2)
    made = push_all(stream, latents[:, :, 1:])
    assert [frames is None for frames in made] == [True, True, False, False, False]
    for chunk, frames in enumerate(made[2:]):
        seen = latents[:, :, : chunk + 4]
        assert frames is not None
        expected = decode_in_window(stream._decoder, seen, chunk + 1)
        torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)


def test_in_a_long_call_nothing_that_a_chunk_sees_is_forgotten() -> None:
    decoder = autoencoder_like("0.9.0").decoder
    reach = reaches(decoder)[0]
    latents = random_latents(reach + 8)
    stream = begin(latents, right=1)
    made = push_all(stream, latents[:, :, 1:])[-1]
    assert made is not None
    expected = decode_in_window(decoder, latents, latents.shape[2] - 2)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert len(stream._latents) == reach + 1 + 1 + 1


def test_after_a_rollback_the_next_frames_are_those_after_the_last_shown() -> None:
    latents, others = random_latents(7), random_latents(3, seed=1)
    stream = begin(latents, right=2)
    push_all(stream, latents[:, :, 1:])
    stream.rollback(2)  # chunk 3 was drawn, but nobody saw it
    made = push_all(stream, others)
    assert made[:2] == [None, None]
    straight = begin(latents, right=2)
    push_all(straight, latents[:, :, 1:4])
    expected = push_all(straight, others)[-1]
    assert expected is not None
    assert made[2] is not None
    torch.testing.assert_close(made[2], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk", [-2, 0, 12])
def test_a_chunk_too_old_or_never_made_is_refused(chunk: int) -> None:
    latents = random_latents(13)
    stream = begin(latents, right=1, left=2)
    push_all(stream, latents[:, :, 1:])
    with pytest.raises(PictureForgotten, match=f"chunk {chunk} of 12"):
        stream.rollback(chunk)


@pytest.mark.parametrize(("right", "left"), [(-1, 4), (1, 0)])
def test_a_window_without_a_past_is_refused(right: int, left: int) -> None:
    with pytest.raises(ValueError, match="at least 1 and 0"):
        begin(random_latents(1), right, left)
