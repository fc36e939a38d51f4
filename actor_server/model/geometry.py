"""The shape of an Actor: everything that decides what its weights are and what they mean."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from actor_server.codec.mesh.latent import LATENT_DIM
from actor_server.motion.conditioning import audio_width
from actor_server.motion.source import Visibility
from proto.time_law import CHUNK_FRAMES

CONTEXT_CHUNKS: Final = 31
"""Clean chunks a chunk sees before itself: with the reference 2048 tokens of LTX, 10 s."""


@dataclass(frozen=True)
class ActorGeometry:
    """Sizes of a `VideoTransformer`, checked when made.

    grid: (frames, height, width) of one chunk's tokens. rotary_pairs: how the rotated half of a
    head is split over t, h, w. phone_width: width of a phone's embedding, 0 where there are none.
    cues: whether each token is told what kind of moment its frames are and what is heard in them.
    project_conditions: False where the conditions are hidden states of the same kind already, and
    attended to as they come (the paper).

    Source: X-Streamer, section 3.2; GLM-4-9B for the 9B preset.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_width: int
    latent_dim: int
    grid: tuple[int, int, int]
    rotary_pairs: tuple[int, int, int]
    sight: Visibility
    phone_width: int = 0
    cues: bool = False
    project_conditions: bool = True
    context_chunks: int = CONTEXT_CHUNKS
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key-value heads")
        if 4 * sum(self.rotary_pairs) != self.head_dim:
            raise ValueError(
                f"{self.rotary_pairs} rotary pairs do not fill half of a {self.head_dim} wide head"
            )
        if not self.project_conditions and not self.sight.audio_states:
            raise ValueError("features of audio and states of text must be projected to fit")

    @property
    def tokens(self) -> int:
        """T: tokens of one chunk."""
        frames, height, width = self.grid
        return frames * height * width

    @property
    def token_frames(self) -> int:
        """Frames that one token shows."""
        return CHUNK_FRAMES // self.grid[0]

    @property
    def reference_tokens(self) -> int:
        """R: one still of the codec."""
        return self.grid[1] * self.grid[2]

    @property
    def audio_width(self) -> int:
        """Width of an audio slot."""
        return audio_width(self.sight)

    @property
    def condition_width(self) -> int:
        """Width of what cross-attention reads."""
        return self.width if self.project_conditions else self.sight.state_width

    def resized(self, layers: int, width: int, context_chunks: int) -> Self:
        """With other sizes; heads keep theirs, and the MLP its ratio to the width."""
        step = self.head_dim * self.kv_heads
        if width < step or width % step:
            raise ValueError(f"width {width} must be a multiple of {step}: whole heads that share")
        return replace(
            self,
            layers=layers,
            width=width,
            heads=width // self.head_dim,
            ffn_width=width * self.ffn_width // self.width,
            context_chunks=context_chunks,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the header of a weights file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, also after a trip through JSON."""
        grid, pairs = tuple(values["grid"]), tuple(values["rotary_pairs"])
        sight = Visibility(**values["sight"])
        values = {name: value for name, value in values.items() if name != "audio_width"}
        return cls(**{**values, "grid": grid, "rotary_pairs": pairs, "sight": sight})


NANO: Final = ActorGeometry(
    layers=6,
    width=256,
    heads=4,
    kv_heads=2,
    head_dim=64,
    ffn_width=768,
    latent_dim=LATENT_DIM,
    grid=(CHUNK_FRAMES, 1, 1),
    rotary_pairs=(4, 6, 6),
    sight=Visibility(history_tokens=4, lookahead_tokens=2, state_width=576),
    phone_width=32,
    cues=True,
)
"""Motion latents of a mesh, 8 a chunk; small enough for one CPU thread."""

TINY: Final = ActorGeometry(
    layers=2,
    width=16,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn_width=24,
    latent_dim=3,
    grid=(2, 1, 1),
    rotary_pairs=(1, 1, 0),
    sight=Visibility(history_tokens=1, lookahead_tokens=1, state_width=6),
    phone_width=2,
    cues=True,
)
"""For tests of laws that hold at every size."""

PAPER_9B: Final = ActorGeometry(
    layers=40,
    width=4096,
    heads=32,
    kv_heads=2,
    head_dim=128,
    ffn_width=13_696,
    latent_dim=128,
    grid=(1, 8, 8),
    rotary_pairs=(8, 12, 12),
    sight=Visibility(4, 2, state_width=4096, audio_states=True),
    project_conditions=False,
    norm_eps=3.90625e-8,
)
"""LTX latents, 8 x 8 a chunk; its self-attention and MLP can begin as GLM-4-9B's."""
