"""Causal streaming: the whole decode, piece by piece, at a price that does not grow."""

import pytest
import torch
from torch import Tensor, nn

from actor_server.codec.ltx.causal import CausalDecoder
from actor_server.codec.ltx.streaming import PictureForgotten
from tests.unit.actor_server.ltx.autoencoders import (
    RELEASES,
    autoencoder_like,
    random_latents,
    whole_decode,
)

pytestmark = pytest.mark.unit


def begin(latents: Tensor, **options: int) -> CausalDecoder:
    decoder = autoencoder_like("0.9.5", causal=True).decoder
    return CausalDecoder(decoder, latents[:, :, :1], **options)


def push_all(stream: CausalDecoder, latents: Tensor) -> Tensor:
    return torch.cat([stream.push(latents[:, :, k : k + 1]) for k in range(latents.shape[2])], 2)


@pytest.mark.parametrize("release", RELEASES)
def test_a_streamed_call_equals_the_causal_decode_of_the_whole(release: str) -> None:
    autoencoder = autoencoder_like(release, causal=True)
    latents = random_latents(7)
    stream = CausalDecoder(autoencoder.decoder, latents[:, :, :1])
    whole = whole_decode(autoencoder, latents)
    assert whole.std() > 0.1
    torch.testing.assert_close(
        push_all(stream, latents[:, :, 1:]), whole[:, :, 1:], rtol=0, atol=1e-5
    )


def test_memory_and_work_are_the_same_for_every_chunk() -> None:
    latents = random_latents(12)
    stream = begin(latents, history=3)
    work = 0

    def count(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
        nonlocal work
        work += inputs[0].numel()

    for module in stream._decoder.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(count)
    figures = []
    for chunk in range(1, 12):
        work = 0
        stream.push(latents[:, :, chunk : chunk + 1])
        figures.append((work, stream.memory_bytes))
    assert figures[0][0] > 0
    assert set(figures) == {figures[0]}
    assert len(stream._memories) == 4
    assert not any(part._is_view() for part in stream._memories[-1])


def test_after_a_rollback_the_call_goes_on_as_if_nothing_had_come_after() -> None:
    latents, others = random_latents(6), random_latents(2, seed=1)
    stream = begin(latents)
    push_all(stream, latents[:, :, 1:])
    stream.rollback(2)
    interrupted = push_all(stream, others)
    straight = begin(latents)
    push_all(straight, latents[:, :, 1:4])
    assert torch.equal(interrupted, push_all(straight, others))


def test_a_call_can_begin_again_at_its_reference() -> None:
    latents = random_latents(4)
    stream = begin(latents)
    first = push_all(stream, latents[:, :, 1:])
    stream.rollback(-1)
    assert torch.equal(push_all(stream, latents[:, :, 1:]), first)


@pytest.mark.parametrize("chunk", [-2, 1, 5])
def test_a_chunk_too_old_or_never_made_is_refused_and_changes_nothing(chunk: int) -> None:
    latents = random_latents(6)
    stream = begin(latents, history=2)
    push_all(stream, latents[:, :, 1:])
    with pytest.raises(PictureForgotten, match=f"chunk {chunk} of 5"):
        stream.rollback(chunk)
    stream.rollback(2)
