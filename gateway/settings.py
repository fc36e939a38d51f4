"""Deployment settings of the gateway; environment prefix XSTREAMER_GATEWAY_."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from proto.endpoints import ACTOR_ENDPOINT, THINKER_ENDPOINT, is_loopback
from proto.wire.curve import CurveClient
from services.room_agent.job import DEFAULT_AGENT_NAME

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]
MIN_ADMIN_KEY_CHARACTERS = 32
"""It is kept as a plain hash, which only something long and random survives."""


def _packaged_app_dir() -> Path:
    return Path(str(files("gateway"))) / "static" / "app"


def sqlite_url(data_dir: Path) -> str:
    """Where the records are when no database is named."""
    return f"sqlite:///{data_dir.resolve() / 'gateway.sqlite3'}"


class GatewaySettings(BaseSettings):
    """Built once in __main__. LiveKit's key and secret are the only fields without a default."""

    model_config = SettingsConfigDict(
        env_prefix="XSTREAMER_GATEWAY_",
        frozen=True,
        hide_input_in_errors=True,  # it holds secrets, and errors end in the log
    )

    host: str = "127.0.0.1"
    port: Port = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_level: str = "info"

    require_keys: bool = False
    """Ask for API keys on loopback too, as behind a proxy. Elsewhere they are always required."""
    admin_key: SecretStr | None = None
    """A key with every scope, for the first start; it counts as long as it is set."""
    session_ttl_s: Annotated[int, Field(ge=60)] = 12 * 3600
    """How long a browser stays signed in."""
    requests_per_minute: Annotated[int, Field(ge=1)] = 1200
    creations_per_minute: Annotated[int, Field(ge=1)] = 30
    """Limits for each caller where keys are required; creations are avatars, rooms and keys."""

    data_dir: Path = Path("var/gateway")
    database_url: str | None = None
    """SQLAlchemy URL; None is SQLite inside data_dir."""
    app_dir: Path = Field(default_factory=_packaged_app_dir)
    """Where `make setup` put the built page."""

    livekit_url: str = "ws://127.0.0.1:7880"
    """Where this process reaches LiveKit."""
    livekit_public_url: str | None = None
    """Where browsers reach LiveKit; None proxies its signalling under /livekit on our own port."""
    livekit_api_key: str
    livekit_api_secret: SecretStr
    livekit_local: bool = True
    """The media path needs no STUN: browsers are told to ask no public STUN server."""

    actor_endpoint: str = ACTOR_ENDPOINT
    """The Actor that checks portraits."""
    thinker_endpoint: str = THINKER_ENDPOINT
    """Only asked whether it is ready; empty: not asked, because it is beside agents elsewhere."""
    curve_public_key: str = ""
    curve_secret_key: SecretStr = SecretStr("")
    actor_curve_server_key: str = ""
    thinker_curve_server_key: str = ""
    """CURVE keys (Z85) for engines on other hosts; empty: none."""
    agent_health_url: str = "http://127.0.0.1:8081/"
    """Asked whether a worker is ready; empty: not asked."""
    agent_name: str = DEFAULT_AGENT_NAME
    agent_shares_disk: bool = True
    """False: agents on other hosts fetch portraits from internal_url."""
    internal_url: str | None = None

    provenance_public_key: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{43}=?)?$")] = ""
    """Published at /.well-known/jwks.json: verifies what the agents state of their streams."""

    default_voice: str = "hibari"
    language: str = "en"
    transcript: bool = True
    """Whether calls have captions, unless whoever opens the room says (`transcript`)."""
    max_upload_bytes: Annotated[int, Field(ge=1024, le=32 * 1024 * 1024)] = 12 * 1024 * 1024

    turn_days: Annotated[float, Field(gt=0)] = 30.0
    max_turns: Annotated[int, Field(ge=1)] = 50_000
    """How long the figures of turns are kept, and how many at most (about 1 KB each)."""
    call_days: Annotated[float, Field(gt=0)] = 30.0
    """How long the record of a call is kept after its end; its turns go with it."""
    portrait_days: Annotated[float, Field(gt=0)] | None = None
    """Uploaded avatars that nobody called for so long are deleted; None: kept until deleted."""
    otlp_endpoint: str | None = None
    """Where OpenTelemetry spans go, such as http://127.0.0.1:4318; None: nowhere."""

    portrait_timeout_s: Seconds = 15.0
    ready_timeout_s: Seconds = 2.0
    livekit_timeout_s: Seconds = 5.0
    room_ttl_s: Annotated[int, Field(ge=60)] = 4 * 3600
    """A room, its token and its call end this long after creation."""
    empty_timeout_s: Annotated[int, Field(ge=5)] = 90
    departure_timeout_s: Annotated[int, Field(ge=1)] = 15
    agent_timeout_s: Seconds = 4.0
    """An agent that took a call and is not there after this long is replaced."""
    room_timeout_s: Seconds = 20.0
    """A call whose room is gone this long has ended: after a crash of LiveKit callers come back."""
    watchdog_interval_s: Seconds = 0.5

    measured_capacity: bool = True
    """False: the agent's places are all that limits the number of calls."""
    workers: Annotated[int, Field(ge=1)] = 1
    """Agents with engines of their own, where they do not tell the gateway of themselves."""
    meter_interval_s: Seconds = 2.0

    @property
    def is_open(self) -> bool:
        """Everyone on this machine may do everything, and nobody else comes in."""
        return is_loopback(self.host) and not self.require_keys

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or sqlite_url(self.data_dir)

    def curve_to(self, server_key: str) -> CurveClient | None:
        """The keys towards an engine; None where it has no key of its own."""
        if not server_key:
            return None
        secret = self.curve_secret_key.get_secret_value()
        return CurveClient(self.curve_public_key, secret, server_key)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both tls_cert and tls_key")
        key = self.admin_key
        if key is not None and len(key.get_secret_value()) < MIN_ADMIN_KEY_CHARACTERS:
            raise ValueError("admin_key needs 32 characters or more: `openssl rand -hex 32`")
        if not self.agent_shares_disk and self.internal_url is None:
            raise ValueError("agents that share no disk need internal_url to fetch portraits from")
        return self
