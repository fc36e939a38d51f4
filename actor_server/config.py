"""Configuration of the Actor process: environment XSTREAMER_ACTOR_*, built once in __main__."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from proto.endpoints import ACTOR_ENDPOINT

CodecKind = Literal["mesh", "ltx"]
MotionKind = Literal["auto", "diffusion", "teacher"]
SpeechKind = Literal["carried", "glm4voice"]


class ActorConfig(BaseSettings):
    """Where the Actor listens, what it may use, and how it paces itself."""

    model_config = SettingsConfigDict(
        env_prefix="XSTREAMER_ACTOR_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    endpoint: str = ACTOR_ENDPOINT
    assets: Path = Path("~/.cache/xstreamer/assets")
    """Directory with the model files of the asset manifest (face landmarker, segmenter, ...)."""
    portrait_timeout_s: Annotated[float, Field(gt=0)] = 20.0

    codec: CodecKind = "mesh"
    """What draws the face: a mesh over the portrait, or LTX-Video's decoder (paper size)."""
    autoencoder: Path | None = None
    """Directory of LTX-Video's autoencoder as diffusers stores it; None: where `xstreamer weights
    pull` brings it."""

    motion: MotionKind = "auto"
    """What moves the face: the video transformer (`diffusion`), the rules that taught it
    (`teacher`), or `auto`: the transformer where its weights are there."""
    weights: Path | None = None
    """A weight file of the transformer, or a directory of shards; None: the one that is shipped,
    which moves a mesh."""
    device: str = "auto"
    """Where codec `ltx` and its transformer compute: `cuda:1`, `cpu`, or `auto`: the last GPU."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """In which numbers they do."""
    float8: bool = False
    """Keep the matrices of that transformer's layers in one byte a number."""
    graphs: bool = False
    """Give its passes one shape and record them as CUDA graphs; never tried on a GPU yet."""

    speech: SpeechKind = "carried"
    """Where speech comes from: the Thinker's messages carry it, or the Actor decodes the audio ids
    in them with GLM-4-Voice's decoder."""
    speech_weights: Path | None = None
    """Directory with that decoder's files; None: where `xstreamer weights pull` brings them."""
    speech_device: str = "auto"
    """Where it computes: `cuda:1`, `cpu`, or `auto`: the last GPU if there is one."""

    threads: Annotated[int, Field(ge=1, le=16)] = 1
    """Threads inside torch, cv2, numba and BLAS; one is enough for a call."""
    max_sessions: Annotated[int, Field(ge=1, le=64)] = 4
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Prometheus metrics; port 0: none."""
    log_level: str = "INFO"

    idle_hold_ms: Annotated[int, Field(ge=0, le=300)] = 120
    """How long a granted chunk waits for speech before it is made without: speech that comes in
    this time starts 0.32 s earlier. The caller's buffer must be at least this much ahead."""
    underrun_hold_ms: Annotated[int, Field(ge=0, le=600)] = 240
    """The same in the middle of a turn, where two chunks are ahead."""
    orphan_after_s: Annotated[float, Field(gt=0)] = 30.0
    """A session from whose agent nothing came for so long is closed."""

    curve_public_key: str | None = None
    curve_secret_key: SecretStr | None = None
    curve_client_keys: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_moved(self) -> Self:
        if self.codec == "ltx" and self.motion == "teacher":
            raise ValueError('motion "teacher" moves a mesh: use codec "mesh", or "diffusion"')
        if self.codec == "ltx" and self.weights is None:
            raise ValueError('codec "ltx" needs `weights` (docs/models/paper-scale.md)')
        return self

    @property
    def autoencoder_directory(self) -> Path:
        """`autoencoder`, or its place among the assets."""
        return (self.autoencoder or self.assets / "LTX-Video-0.9.5" / "vae").expanduser()

    @property
    def speech_directory(self) -> Path:
        """`speech_weights`, or its place among the assets."""
        return (self.speech_weights or self.assets / "glm-4-voice-decoder").expanduser()
