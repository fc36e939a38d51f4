"""The sizes of a speech decoder: everything that decides what its weights are."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

MEL_BINS: Final = 80
SPEAKER_WIDTH: Final = 192
HARMONICS: Final = 9
"""The fundamental and eight overtones."""


@dataclass(frozen=True)
class FlowGeometry:
    """Sizes of a `FlowDecoder`. The defaults are those of the released weights.

    codes: rows of the speech codebook. width, layers, heads, ffn_width: the token encoder.
    unet_*: the estimator; unet_layers transformer blocks follow each of its residual blocks.
    """

    codes: int = 16_384
    width: int = 512
    layers: int = 6
    heads: int = 8
    ffn_width: int = 2048
    unet_width: int = 256
    unet_layers: int = 4
    unet_heads: int = 8
    unet_head_dim: int = 64
    mid_blocks: int = 12

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"{self.heads} heads cannot share a width of {self.width} evenly")
        if self.unet_width % 8:
            raise ValueError(f"a width of {self.unet_width} does not make 8 groups")


@dataclass(frozen=True)
class VocoderGeometry:
    """Sizes of a `Vocoder`; each of its two stages halves the width. Defaults as released."""

    width: int = 512
    f0_width: int = 512

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ValueError(f"a width of {self.width} cannot be halved twice")


@dataclass(frozen=True)
class SpeechGeometry:
    """Both models of a speech decoder."""

    flow: FlowGeometry = FlowGeometry()
    vocoder: VocoderGeometry = VocoderGeometry()

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises TypeError or ValueError for sizes that make no decoder."""
        return cls(FlowGeometry(**sizes["flow"]), VocoderGeometry(**sizes["vocoder"]))
