"""The codec of one process: an autoencoder that encodes portraits and opens painters for calls."""

from pathlib import Path
from typing import Final, Literal, Self

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from torch import Tensor

from actor_server.codec.ltx.causal import CausalDecoder
from actor_server.codec.ltx.checkpoint import load_autoencoder
from actor_server.codec.ltx.latents import LatentSpace, Picture, pixels_of
from actor_server.codec.ltx.painter import LtxPainter
from actor_server.codec.ltx.run_ahead import RunAheadDecoder
from actor_server.codec.ltx.streaming import ChunkDecoder
from proto.time_law import FRAME_HEIGHT, FRAME_WIDTH

Strategy = Literal["causal", "run_ahead"]
RUN_AHEAD_CHUNKS: Final = 4
"""R when a released decoder is shown as it is; see docs/decisions/0010-ltx-decoding.md."""


class LtxCodec:
    """Shared by all calls of a process, and never written to. Not thread-safe."""

    def __init__(
        self,
        autoencoder: AutoencoderKLLTXVideo,
        height: int = FRAME_HEIGHT,
        width: int = FRAME_WIDTH,
    ) -> None:
        self.autoencoder = autoencoder
        self.space = LatentSpace.of(autoencoder, height, width)
        self._picture = (height, width, 3)

    @classmethod
    def from_directory(
        cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Self:
        """That of a diffusers directory. Raises LtxWeightsUnusable."""
        return cls(load_autoencoder(folder, device, dtype))

    @property
    def own_strategy(self) -> Strategy:
        """The one that the decoder's weights were trained for."""
        return "causal" if self.autoencoder.config.decoder_causal else "run_ahead"

    @torch.inference_mode()
    def encode_reference(self, picture: Picture) -> Tensor:
        """Normalised tokens (T, D), single precision, of a portrait (H, W, 3), RGB.

        Raises ValueError for a picture of another shape or kind.
        """
        if picture.shape != self._picture or picture.dtype != "uint8":
            raise ValueError(
                f"the portrait is {picture.dtype} {picture.shape}, "
                f"this codec encodes uint8 {self._picture}"
            )
        still = pixels_of(picture[None], like=self.autoencoder.encoder.conv_in.conv.weight)
        encoded = self.autoencoder.encode(still).latent_dist.mode()
        return self.space.tokens(encoded)[0]

    def open(
        self,
        reference: Tensor,
        strategy: Strategy | None = None,
        run_ahead_chunks: int = RUN_AHEAD_CHUNKS,
    ) -> LtxPainter:
        """Begin one more call at its normalised reference (T, D). Raises ValueError.

        Without a strategy the decoder is used as it was trained. `run_ahead` of a causal decoder
        is refused; `causal` of a released one is not, but its pictures are not what it learned.
        """
        strategy = strategy or self.own_strategy
        dtype = self.autoencoder.decoder.conv_in.conv.weight.dtype
        first = self.space.latents(reference[None].to(self.space.mean.device)).to(dtype)
        if first.shape[2] != 1:
            raise ValueError(
                f"the reference is {tuple(reference.shape)}, not {self.space.token_shape}"
            )
        return LtxPainter(self._decoder(first, strategy, run_ahead_chunks), self.space, dtype)

    def _decoder(self, first: Tensor, strategy: Strategy, chunks: int) -> ChunkDecoder:
        if strategy == "causal":
            return CausalDecoder(self.autoencoder.decoder, first)
        if self.autoencoder.config.decoder_causal:
            raise ValueError("this decoder was tuned to see the past only: use strategy `causal`")
        return RunAheadDecoder(self.autoencoder.decoder, first, chunks)
