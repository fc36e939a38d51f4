"""Sizes of a ChatGLM language model, read from the hub's config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from thinker_server.errors import WeightsUnusable

_REQUIRED_CHOICES: dict[str, object] = {
    "rmsnorm": True,
    "add_qkv_bias": True,
    "add_bias_linear": False,
    "multi_query_attention": True,
    "apply_residual_connection_post_layernorm": False,
    "tie_word_embeddings": False,
}
"""What the released model is; another choice would need other code."""


@dataclass(frozen=True)
class GlmGeometry:
    """Frozen sizes. `key_heads` are key/value groups; the rotary turns half of `head_width`."""

    layers: int
    width: int
    heads: int
    key_heads: int
    head_width: int
    ffn_width: int
    vocabulary: int
    context_tokens: int
    rms_epsilon: float
    rope_theta: float

    def __post_init__(self) -> None:
        if self.heads * self.head_width != self.width:
            raise WeightsUnusable(
                f"{self.heads} heads of {self.head_width} do not make a width of {self.width}"
            )
        if self.heads % self.key_heads or self.head_width % 4:
            raise WeightsUnusable(
                f"{self.heads} heads cannot share {self.key_heads} key heads of {self.head_width}"
            )

    @property
    def fused_rows(self) -> tuple[int, int, int]:
        """Rows of queries, keys and values in the fused projection."""
        keys = self.key_heads * self.head_width
        return self.width, keys, keys

    @classmethod
    def from_hub(cls, config: Mapping[str, Any]) -> Self:
        """The geometry in a hub configuration. Raises WeightsUnusable for another model."""
        for name, wanted in _REQUIRED_CHOICES.items():
            if config.get(name, wanted) != wanted:
                raise WeightsUnusable(
                    f"config.json says {name} = {config[name]!r}, GLM-4-Voice has {wanted!r}; is "
                    "this the directory of glm-4-voice-9b?"
                )
        try:
            return cls(
                layers=config["num_layers"],
                width=config["hidden_size"],
                heads=config["num_attention_heads"],
                key_heads=config["multi_query_group_num"],
                head_width=config["kv_channels"],
                ffn_width=config["ffn_hidden_size"],
                vocabulary=config["padded_vocab_size"],
                context_tokens=config["seq_length"],
                rms_epsilon=config["layernorm_epsilon"],
                rope_theta=10_000.0 * config.get("rope_ratio", 1),
            )
        except KeyError as error:
            raise WeightsUnusable(
                f"config.json has no {error.args[0]!r}, which every ChatGLM has; is this the "
                "directory of glm-4-voice-9b?"
            ) from None
