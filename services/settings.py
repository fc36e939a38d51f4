"""Deployment of all processes on one machine: xstreamer.toml, overridden by XSTREAMER_*.

XSTREAMER_<TABLE>_<KEY> overrides `<key>` in `[<table>]`; XSTREAMER_<KEY> a key above the tables.
The tables [thinker], [actor], [gateway] and [agent] hold whatever the process of that name can be
told; only what the supervisor itself needs is named here.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from proto.endpoints import is_loopback
from services.paths import CONFIG_VARIABLE, DEFAULT_CACHE, CachePaths, config_file, resolve

Port = Annotated[int, Field(ge=1, le=65_535)]
OptionalPort = Annotated[int, Field(ge=0, le=65_535)]
"""0 is off."""
ProcessName = Literal["livekit", "thinker", "actor", "gateway", "agent"]
EVERY_PROCESS: tuple[ProcessName, ...] = get_args(ProcessName)


def _names(value: object) -> object:
    """`agent,thinker` as people type it."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


class SettingsError(ValueError):
    """The configuration cannot be used; the text names the setting and what to do."""


class Table(BaseModel):
    """One table of xstreamer.toml whose other keys belong to the process itself."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def given(self) -> dict[str, Any]:
        """What was set or has a value for the process, in the names of its own configuration."""
        return self.model_dump()


class ThinkerTable(Table):
    """The process that understands. An empty endpoint is a socket in the runtime directory."""

    endpoint: str = ""
    metrics_port: OptionalPort = 9601


class ActorTable(Table):
    """The process that renders."""

    endpoint: str = ""
    metrics_port: OptionalPort = 9602


class AgentTable(Table):
    """The worker that joins the calls."""

    health_port: Port = 8081
    provenance_key: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{43}=?)?$")] = ""
    """Signs that streams are synthetic; empty: the one in the data directory, made once at random
    where agent and gateway run on one machine."""


class GatewayTable(Table):
    """REST and pages."""

    host: str = "127.0.0.1"
    port: Port = 8080
    tls_cert: str = ""
    tls_key: str = ""
    """PEM files of your own certificate; empty: http, or what `--tls` makes."""
    require_keys: bool = False
    admin_key: str = ""

    @property
    def is_local(self) -> bool:
        """Only this machine can open the page."""
        return is_loopback(self.host)

    @property
    def wants_keys(self) -> bool:
        """Whoever opens the page must show a key."""
        return self.require_keys or not self.is_local


class LiveKitTable(BaseModel):
    """The WebRTC server that the supervisor starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    binary: str = ""
    """The server program; empty takes the one that the set-up built or found."""
    host: str = "127.0.0.1"
    """Where signalling listens. Browsers come through the gateway; agents and gateways of other
    machines need an address of a private network here."""
    url: str = ""
    """Where this machine's processes reach LiveKit (ws://...); empty: the server that runs here."""
    redis: str = ""
    """redis://[user:password@]host[:port][/database]: servers with the same one share their rooms
    and agents; empty: this server is alone."""
    port: Port = 7880
    rtc_tcp_port: Port = 7881
    rtc_udp_port: Port = 7882
    metrics_port: OptionalPort = 6789
    node_ip: str = ""
    """The address browsers send media to; empty is chosen from `[gateway] host`."""
    api_key: str = ""
    api_secret: str = ""
    """Empty: made once at random and kept in the data directory."""
    turn_udp_port: OptionalPort = 0
    """TURN over UDP, for callers whose network lets no other port through: 443 or 3478. 0: off."""
    turn_tls_port: OptionalPort = 0
    """TURN over TLS, for callers with nothing but https. 0: off. Callers are sent to port 443 of
    `turn_domain`, whatever this is."""
    turn_domain: str = ""
    turn_tls_cert: str = ""
    turn_tls_key: str = ""
    """PEM files of a certificate for `turn_domain` that browsers trust: no self-signed one."""

    @property
    def turn(self) -> bool:
        """Whether the server carries media for callers who cannot reach it directly."""
        return bool(self.turn_udp_port or self.turn_tls_port)

    @model_validator(mode="after")
    def _turn_over_tls_is_whole(self) -> Self:
        if self.turn_tls_port:
            needed = ("turn_domain", "turn_tls_cert", "turn_tls_key")
            if missing := [key for key in needed if not getattr(self, key)]:
                raise ValueError(f"turn_tls_port also needs {', '.join(missing)}")
        return self

    @field_validator("redis")
    @classmethod
    def _is_redis_url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme != "redis" or not urlsplit(value).hostname):
            raise ValueError("write redis://host:6379, or redis://:password@host:6379")
        return value


class Settings(BaseSettings):
    """Everything the supervisor needs to start one machine. Built once per command."""

    model_config = SettingsConfigDict(
        env_prefix="XSTREAMER_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
    )

    preset: Literal["nano", "glm4voice", "glm4voice-18b", "tiny-glm", "tiny-18b"] = "nano"
    """`tiny-glm` and `tiny-18b` are glm4voice and glm4voice-18b with tiny random models: noise, but
    whole calls without weights."""
    only: Annotated[
        tuple[ProcessName, ...], NoDecode, BeforeValidator(_names), Field(min_length=1)
    ] = EVERY_PROCESS
    """The processes of this machine, where others run elsewhere: "agent,thinker,actor"."""
    cache: Path = Path(DEFAULT_CACHE)
    data: Path = Path("var")
    start_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    """The first start converts models, which takes about half a minute; later ones seconds."""

    gateway: GatewayTable = GatewayTable()
    livekit: LiveKitTable = LiveKitTable()
    thinker: ThinkerTable = ThinkerTable()
    actor: ActorTable = ActorTable()
    agent: AgentTable = AgentTable()

    @property
    def cache_paths(self) -> CachePaths:
        """The directories below the cache."""
        return CachePaths(self.cache)

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: Any) -> "Settings":
        """The settings of this machine. Relative paths start at the configuration file.

        Raises: SettingsError.
        """
        file = config_file(environ)
        if not file.is_file() and CONFIG_VARIABLE in environ:
            raise SettingsError(f"{CONFIG_VARIABLE} names {file}, which does not exist")
        try:
            settings = _reading(file)(**overrides)
        except ValidationError as error:
            raise SettingsError(_explain(error, file)) from error
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file} is not valid TOML: {error}") from error
        paths = {name: resolve(getattr(settings, name), file.parent) for name in ("cache", "data")}
        return settings.model_copy(update=paths)


def _reading(file: Path) -> type[Settings]:
    """Settings whose sources are arguments, then the environment, then this file."""

    class FileSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            toml = TomlConfigSettingsSource(settings_cls, toml_file=file)
            return named["init_settings"], named["env_settings"], toml

    return FileSettings


def _explain(error: ValidationError, file: Path) -> str:
    lines = []
    for problem in error.errors():
        table, *keys = [str(part) for part in problem["loc"]]
        name = f"[{table}] {'.'.join(keys)}" if keys else table
        variable = "_".join(["XSTREAMER", table, *keys]).upper()
        lines.append(f"{name} (in {file} or {variable}): {problem['msg']}")
    return "\n".join(lines)
