"""Sizes of the speech tokenizer, read from the hub's config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.speech.log_mel import HOP_SAMPLES, MEL_BINS

FRAMES_PER_POSITION = 2
POSITIONS_PER_TOKEN = 4
FRAMES_PER_TOKEN = FRAMES_PER_POSITION * POSITIONS_PER_TOKEN
TOKEN_SAMPLES = FRAMES_PER_TOKEN * HOP_SAMPLES
"""1280 samples at 16 kHz: 80 ms."""
_REQUIRED_CHOICES: dict[str, object] = {
    "num_mel_bins": MEL_BINS,
    "pooling_kernel_size": POSITIONS_PER_TOKEN,
    "pooling_type": "avg",
    "encoder_causal_convolution": True,
    "encoder_causal_attention": False,
    "quantize_causal_encoder": False,
    "scale_embedding": False,
    "activation_function": "gelu",
}


@dataclass(frozen=True)
class SpeechGeometry:
    """Frozen sizes. A block is what attention sees both ways; a segment is what positions span."""

    width: int
    heads: int
    layers: int
    ffn_width: int
    codes: int
    block_positions: int
    segment_positions: int

    def __post_init__(self) -> None:
        if self.width % self.heads or self.block_positions % POSITIONS_PER_TOKEN:
            raise WeightsUnusable(
                f"{self.heads} heads do not divide a width of {self.width}, or a block of "
                f"{self.block_positions} positions is no whole number of tokens"
            )

    @property
    def block_frames(self) -> int:
        """Mel frames of a block (4 s: 400)."""
        return self.block_positions * FRAMES_PER_POSITION

    @property
    def segment_samples(self) -> int:
        """Samples of a segment (30 s: 480000)."""
        return self.segment_positions * FRAMES_PER_POSITION * HOP_SAMPLES

    @classmethod
    def from_hub(cls, config: Mapping[str, Any]) -> Self:
        """The geometry in a hub configuration. Raises WeightsUnusable for another model."""
        for name, wanted in _REQUIRED_CHOICES.items():
            if config.get(name, wanted) != wanted:
                raise WeightsUnusable(
                    f"the speech tokenizer's config.json says {name} = {config[name]!r}, "
                    f"glm-4-voice-tokenizer has {wanted!r}"
                )
        try:
            if config["pooling_position"] != config["quantize_position"]:
                raise WeightsUnusable("the speech tokenizer pools and quantises at two layers")
            return cls(
                width=config["d_model"],
                heads=config["encoder_attention_heads"],
                layers=config["quantize_position"],
                ffn_width=config["encoder_ffn_dim"],
                codes=config["quantize_vocab_size"],
                block_positions=config["quantize_causal_block_size"],
                segment_positions=config["max_source_positions"],
            )
        except KeyError as error:
            raise WeightsUnusable(
                f"the speech tokenizer's config.json has no {error.args[0]!r}; is this the "
                "directory of glm-4-voice-tokenizer?"
            ) from None
