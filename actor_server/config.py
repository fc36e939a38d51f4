"""Configuration of the Actor process: environment XSTREAMER_ACTOR_*, built once in __main__."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from proto.endpoints import ACTOR_ENDPOINT


class ActorConfig(BaseSettings):
    """Where the Actor listens, what it may use, and how it paces itself."""

    model_config = SettingsConfigDict(env_prefix="XSTREAMER_ACTOR_", frozen=True, extra="ignore")

    endpoint: str = ACTOR_ENDPOINT
    assets: Path = Path("~/.cache/xstreamer/assets")
    """Directory with the model files of the asset manifest (face landmarker, segmenter, ...)."""
    portrait_timeout_s: Annotated[float, Field(gt=0)] = 20.0

    threads: Annotated[int, Field(ge=1, le=16)] = 1
    """Threads inside cv2, numba and BLAS; one core renders about seven calls."""
    max_sessions: Annotated[int, Field(ge=1, le=64)] = 4
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Prometheus metrics on 127.0.0.1; 0: none."""
    log_level: str = "INFO"

    lookahead_tokens: Annotated[int, Field(ge=0, le=26)] = 0
    """L: audio tokens after a chunk that must be there before it is made. Costs 80 ms each."""
    history_tokens: Annotated[int, Field(ge=0, le=26)] = 4
    """A: audio tokens before a chunk that it sees."""
    idle_hold_ms: Annotated[int, Field(ge=0, le=300)] = 120
    """How long a granted chunk waits for speech before it is made without: speech that comes in
    this time starts 0.32 s earlier. The caller's buffer must be at least this much ahead."""
    underrun_hold_ms: Annotated[int, Field(ge=0, le=600)] = 240
    """The same in the middle of a turn, where two chunks are ahead."""
    orphan_after_s: Annotated[float, Field(gt=0)] = 30.0
    """A session from whose agent nothing came for so long is closed."""

    curve_public_key: str | None = None
    curve_secret_key: str | None = None
    curve_client_keys: tuple[str, ...] = ()
