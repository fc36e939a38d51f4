"""The codec as a call uses it: a portrait in, tokens in, pictures of the right kind out."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from actor_server.codec.ltx import tiny
from actor_server.codec.ltx.checkpoint import save_autoencoder
from actor_server.codec.ltx.codec import RUN_AHEAD_CHUNKS, LtxCodec, Strategy
from actor_server.codec.ltx.latents import LatentSpace, Picture
from actor_server.codec.ltx.painter import i420_of
from actor_server.codec.ltx.tiny import TINY, random_autoencoder
from actor_server.model.geometry import PAPER_9B
from proto.time_law import CHUNK_FRAMES, FRAME_HEIGHT, FRAME_WIDTH, I420_ROWS
from tests.unit.actor_server.ltx.autoencoders import CHANNELS, autoencoder_like, whole_decode

pytestmark = pytest.mark.unit


def portrait(height: int, width: int) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def small_codec(*, causal: bool = True) -> LtxCodec:
    return LtxCodec(autoencoder_like("0.9.5", causal=causal), 64, 96)


def tokens(codec: LtxCodec, chunks: int, seed: int = 0) -> torch.Tensor:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(chunks, *codec.space.token_shape, generator=dice)


def test_a_portrait_becomes_normalised_tokens_row_by_row() -> None:
    codec = small_codec()
    picture = portrait(64, 96)
    reference = codec.encode_reference(picture)
    assert reference.shape == (6, CHANNELS)
    assert reference.dtype == torch.float32
    still = torch.from_numpy(picture).permute(2, 0, 1)[None, :, None] / 127.5 - 1
    latent = codec.autoencoder.encode(still).latent_dist.mode()  # (1, D, 1, 2, 3)
    mean, std = codec.autoencoder.latents_mean, codec.autoencoder.latents_std
    for row in range(2):
        for column in range(3):
            expected = (latent[0, :, 0, row, column] - mean) / std
            torch.testing.assert_close(reference[3 * row + column], expected)


def test_tokens_and_latents_are_inverse_in_the_order_of_the_actors_grid() -> None:
    autoencoder = autoencoder_like("0.9.0")
    autoencoder.register_to_config(scaling_factor=0.5)
    space = LatentSpace.of(autoencoder, 64, 96)
    latents = torch.randn(2, CHANNELS, 4, 2, 3)
    made = space.tokens(latents)
    assert made.shape == (2, 24, CHANNELS)
    torch.testing.assert_close(space.latents(made), latents)
    mean, std = autoencoder.latents_mean, autoencoder.latents_std
    expected = 0.5 * (latents[1, :, 3, 1, 2] - mean) / std
    torch.testing.assert_close(made[1, 3 * 6 + 1 * 3 + 2], expected)


def test_the_paper_sized_actor_makes_what_this_codec_draws() -> None:
    codec = LtxCodec(random_autoencoder(TINY))
    assert codec.space.token_shape == (PAPER_9B.tokens, PAPER_9B.latent_dim)
    assert codec.space.grid == PAPER_9B.grid[1:]
    reference = codec.encode_reference(portrait(FRAME_HEIGHT, FRAME_WIDTH))
    assert reference.shape == (PAPER_9B.reference_tokens, PAPER_9B.latent_dim)
    frames = codec.open(reference).draw(tokens(codec, 1)[0])
    assert frames is not None
    assert frames.shape == (CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH)
    assert frames.dtype == np.uint8


def test_what_is_drawn_is_the_decode_of_the_call_as_i420() -> None:
    codec = small_codec()
    reference, chunks = codec.encode_reference(portrait(64, 96)), tokens(codec, 2)
    painter = codec.open(reference)
    drawn = [painter.draw(chunk) for chunk in chunks]
    latents = codec.space.latents(torch.cat([reference, *chunks])[None])
    clip = ((whole_decode(codec.autoencoder, latents)[0] + 1) * 127.5).round().clamp(0, 255)
    pictures = clip.byte().permute(1, 2, 3, 0).numpy()[1:]
    assert pictures.std() > 20
    for number, picture in enumerate(pictures):
        frames = drawn[number // CHUNK_FRAMES]
        assert frames is not None
        expected = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
        difference = np.abs(frames[number % CHUNK_FRAMES].astype(int) - expected)
        assert difference.max() <= 1  # a pixel may lie just between two values


@pytest.mark.parametrize("strategy", ["causal", "run_ahead"])
def test_half_precision_draws_nearly_the_same(tmp_path: Path, strategy: Strategy) -> None:
    save_autoencoder(tmp_path, autoencoder_like("0.9.5"))
    drawn = []
    for dtype in (torch.float32, torch.bfloat16):
        codec = LtxCodec.from_directory(tmp_path, dtype=dtype)
        reference = codec.encode_reference(portrait(FRAME_HEIGHT, FRAME_WIDTH))
        assert reference.dtype == torch.float32
        painter = codec.open(tokens(codec, 1)[0], strategy, run_ahead_chunks=1)
        frames = [painter.draw(chunk) for chunk in tokens(codec, 2, seed=1)][-1]
        assert frames is not None
        drawn.append(frames.astype(int))
    assert drawn[0].std() > 20
    assert 0 < np.abs(drawn[0] - drawn[1]).mean() < 4


def test_the_tiny_autoencoder_of_the_command_line_draws_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path / "tiny")])
    tiny.main()
    codec = LtxCodec.from_directory(tmp_path / "tiny")
    assert codec.space.token_shape == (PAPER_9B.tokens, PAPER_9B.latent_dim)
    assert codec.own_strategy == "causal"


def test_an_interrupted_call_goes_on_after_the_last_chunk_shown() -> None:
    codec = small_codec()
    reference, chunks = codec.encode_reference(portrait(64, 96)), tokens(codec, 3)
    painter = codec.open(reference)
    shown = [painter.draw(chunk) for chunk in chunks]
    painter.rollback(0)
    again = painter.draw(chunks[1])
    assert again is not None
    assert shown[1] is not None
    assert np.array_equal(again, shown[1])


@pytest.mark.parametrize(("causal", "own"), [(True, "causal"), (False, "run_ahead")])
def test_a_decoder_is_used_as_it_was_trained(causal: bool, own: Strategy) -> None:
    codec = small_codec(causal=causal)
    assert codec.own_strategy == own
    reference = tokens(codec, 1)[0]
    assert codec.open(reference).latency_chunks == (0 if causal else RUN_AHEAD_CHUNKS)
    assert codec.open(reference, "causal").latency_chunks == 0
    if not causal:
        assert codec.open(reference, run_ahead_chunks=3).latency_chunks == 3


def test_running_ahead_with_a_causal_decoder_is_refused() -> None:
    codec = small_codec(causal=True)
    with pytest.raises(ValueError, match="use strategy `causal`"):
        codec.open(tokens(codec, 1)[0], "run_ahead")


@pytest.mark.parametrize(
    "picture",
    [portrait(96, 64), portrait(64, 96)[:, :, 0], portrait(64, 96).astype(np.float32)],
    ids=["turned", "grey", "floats"],
)
def test_a_portrait_of_another_kind_is_refused(picture: Picture) -> None:
    with pytest.raises(ValueError, match=r"this codec encodes uint8 \(64, 96, 3\)"):
        small_codec().encode_reference(picture)


def test_tokens_of_another_kind_are_refused() -> None:
    codec = small_codec()
    reference = tokens(codec, 1)[0]
    painter = codec.open(reference)
    for wrong in (reference[:-1], reference[:, :-1], reference[None]):
        with pytest.raises(ValueError, match=rf"\(6, {CHANNELS}\)"):
            painter.draw(wrong)
    with pytest.raises(ValueError, match=r"the reference is \(12, 6\)"):
        codec.open(torch.cat([reference, reference]))
    with pytest.raises(ValueError, match="tokens are"):
        codec.open(reference[:-1])


def test_pictures_whose_sides_do_not_fit_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        LtxCodec(autoencoder_like("0.9.0"), 64, 100)
    with pytest.raises(ValueError, match="a chunk has"):
        i420_of(np.zeros((7, 64, 64, 3), np.uint8))
