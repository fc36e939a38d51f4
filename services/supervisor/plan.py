"""What runs on one machine: its processes, their environments, ports and probes."""

import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services.provenance import ProvenanceKey
from services.settings import ProcessName, Settings, SettingsError, Table
from services.supervisor.certificates import Certificate
from services.supervisor.credentials import LiveKitKey
from services.supervisor.directories import Directories
from services.supervisor.known_settings import config_class
from services.supervisor.places import places
from services.supervisor.presets import preset_values
from services.supervisor.readiness import EngineProbe, HttpProbe, Probe

AGENT_DRAIN_S = 2
"""A person who stops the machine does not want to wait for calls to end."""
AGENT_STOP_S = 5.0
"""What an agent may take to leave when its calls have ended."""
PRELOADED = {
    "thinker": ("torch", "pydantic_settings", "prometheus_client", "proto.wire.sockets"),
    "actor": (
        "torch",
        "actor_server.choice",
        "actor_server.server",
        "actor_server.motion.diffusion",
    ),
    "agent": ("services.room_agent.worker", "services.room_agent.health"),
}
"""What takes these processes long to import, and what several of them share: one that crashed is
back without it. The Thinker's own modules are not among it: when the machine starts it has the most
to load, and would have to wait for them.
"""


@dataclass(frozen=True)
class ProcessPlan:
    """One process. `stop_s`: how long it may take to leave after SIGTERM. `death_signal` is what
    it gets when the supervisor itself is killed: a process with children must end them first.
    `module`: the Python module of a process that is forked from one that has imported `preload`,
    instead of being started by its command. `first`: the others start when it is ready.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    probe: Probe
    stop_s: float = 5.0
    death_signal: signal.Signals = signal.SIGKILL
    module: str = ""
    preload: tuple[str, ...] = ()
    first: bool = False


@dataclass(frozen=True)
class Machine:
    """What the plans are made from."""

    settings: Settings
    directories: Directories
    livekit_program: Path | None
    livekit_key: LiveKitKey
    provenance_key: ProvenanceKey | None
    certificate: Certificate | None
    environ: Mapping[str, str]
    page_key: str = ""
    """Opens the page where keys are asked for."""

    @property
    def url(self) -> str:
        """The address of the page, as this machine's user opens it."""
        return f"{self.scheme}://{self._own_host}:{self.settings.gateway.port}"

    @property
    def scheme(self) -> str:
        """https with a certificate."""
        return "https" if self.certificate else "http"

    @property
    def livekit_url(self) -> str:
        """Where processes of this machine reach LiveKit."""
        if self.settings.livekit.url:
            return self.settings.livekit.url
        if "livekit" not in self.settings.only:
            raise SettingsError(
                "LiveKit runs on another machine: say where with `url` in [livekit] of "
                "xstreamer.toml, such as ws://10.0.0.1:7880"
            )
        return f"ws://127.0.0.1:{self.settings.livekit.port}"

    @property
    def thinker_endpoint(self) -> str:
        """The Thinker's ZeroMQ address; empty where it runs elsewhere and nobody said where."""
        return self._endpoint("thinker", self.settings.thinker.endpoint)

    @property
    def actor_endpoint(self) -> str:
        """The Actor's ZeroMQ address; empty where it runs elsewhere and nobody said where."""
        return self._endpoint("actor", self.settings.actor.endpoint)

    def _endpoint(self, engine: ProcessName, configured: str) -> str:
        runs_here = engine in self.settings.only
        return configured or (self.directories.endpoint(engine) if runs_here else "")

    @property
    def _own_host(self) -> str:
        host = self.settings.gateway.host
        return "127.0.0.1" if host in {"0.0.0.0", "::"} else host

    def plans(self) -> tuple[ProcessPlan, ...]:
        """In the order of starting; stopping goes backwards. LiveKit comes first: all need it.

        Raises: SettingsError.
        """
        makers: dict[ProcessName, Callable[[], ProcessPlan]] = {
            "livekit": self._livekit,
            "thinker": self._thinker,
            "actor": self._actor,
            "gateway": self._gateway,
            "agent": self._agent,
        }
        return tuple(make() for name, make in makers.items() if name in self.settings.only)

    def _livekit(self) -> ProcessPlan:
        table = self.settings.livekit
        config = str(self.directories.runtime / "livekit.yaml")
        return ProcessPlan(
            name="livekit",
            command=(str(self.livekit_program), "--config", config),
            env=dict(self.environ),
            probe=HttpProbe(f"http://127.0.0.1:{table.port}/"),
            first=True,
            stop_s=1.0,  # it waits for its rooms to empty, and nobody is left who could leave
        )

    def _thinker(self) -> ProcessPlan:
        table = self.settings.thinker
        derived = {
            "endpoint": self.thinker_endpoint,
            "assets": self.settings.cache_paths.assets,
            "cache": self.settings.cache,
            **preset_values(self.settings)["thinker"],
        }
        return self._engine("thinker", derived, table)

    def _actor(self) -> ProcessPlan:
        table = self.settings.actor
        derived = {
            "endpoint": self.actor_endpoint,
            "assets": self.settings.cache_paths.assets,
            **preset_values(self.settings)["actor"],
        }
        return self._engine("actor", derived, table)

    def _gateway(self) -> ProcessPlan:
        table = self.settings.gateway
        key = self.provenance_key
        derived: dict[str, Any] = {
            "data_dir": self.directories.data / "gateway",
            **self._livekit_access(),
            **self._engines(),
            "agent_health_url": self._agent_url,
            **({"provenance_public_key": key.public_text} if key else {}),
        }
        _demand("gateway", {**derived, **table.given()}, "actor_endpoint")  # it checks portraits
        if table.is_local and not table.require_keys:
            derived["livekit_public_url"] = self.livekit_url
        if self.settings.livekit.turn:
            derived["livekit_local"] = False
        if self.page_key:
            derived["admin_key"] = self.page_key
        if self.certificate and not table.tls_cert:
            derived |= {"tls_cert": self.certificate.file, "tls_key": self.certificate.key_file}
        probe = HttpProbe(f"{self.url}/readyz")
        return self._python("gateway", "gateway", derived, table, probe)

    def _agent(self) -> ProcessPlan:
        table = self.settings.agent
        derived = {
            **self._livekit_access(),
            **self._engines(),
            "drain_timeout_s": AGENT_DRAIN_S,
            **({"gateway_url": self.url} if "gateway" in self.settings.only else {}),
            **({"provenance_key": self.provenance_key.text} if self.provenance_key else {}),
        }
        table = table.model_copy(update={"max_calls": places(self.settings)})
        told = {**derived, **table.given()}
        _demand("agent", told, "thinker_endpoint", "actor_endpoint")
        if self.certificate and not self.settings.gateway.tls_cert:
            derived["gateway_certificate"] = self.certificate.file
        plan = self._python(
            "agent", "services.room_agent", derived, table, HttpProbe(self._agent_url)
        )
        stop_s = float(told["drain_timeout_s"]) + AGENT_STOP_S
        return replace(
            plan,
            module="services.room_agent",
            preload=PRELOADED["agent"],
            death_signal=signal.SIGTERM,
            stop_s=stop_s,
        )

    @property
    def _agent_url(self) -> str:
        """Its health port; empty where it runs elsewhere."""
        runs_here = "agent" in self.settings.only
        return f"http://127.0.0.1:{self.settings.agent.health_port}/" if runs_here else ""

    def _livekit_access(self) -> dict[str, Any]:
        return {
            "livekit_url": self.livekit_url,
            "livekit_api_key": self.livekit_key.api_key,
            "livekit_api_secret": self.livekit_key.api_secret,
        }

    def _engines(self) -> dict[str, Any]:
        return {
            "thinker_endpoint": self.thinker_endpoint,
            "actor_endpoint": self.actor_endpoint,
        }

    def _engine(self, name: str, derived: Mapping[str, Any], table: Table) -> ProcessPlan:
        env, module = self._environment(name, derived, table), f"{name}_server"
        probe = EngineProbe.of(name, derived["endpoint"], env)
        command = (sys.executable, "-m", module)
        return ProcessPlan(name, command, env, probe, module=module, preload=PRELOADED[name])

    def _python(
        self,
        name: str,
        module: str,
        derived: Mapping[str, Any],
        table: Table,
        probe: Probe,
    ) -> ProcessPlan:
        env = self._environment(name, derived, table)
        return ProcessPlan(name, (sys.executable, "-m", module), env, probe)

    def _environment(self, name: str, derived: Mapping[str, Any], table: Table) -> dict[str, str]:
        given = {key: value for key, value in table.given().items() if value != ""}
        return process_environment(name, {**derived, **given}, self.environ)


def _demand(process: str, told: Mapping[str, Any], *keys: str) -> None:
    """Raises SettingsError for an engine that neither runs here nor has an address."""
    for key in keys:
        if not told[key]:
            engine = key.removesuffix("_endpoint")
            raise SettingsError(
                f"the {process} needs an {engine}: run one beside it (--only {process},{engine}), "
                f"or say where it is with `{key}` in [{process}] of xstreamer.toml"
            )


def process_environment(
    process: str, values: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, str]:
    """The machine's environment plus the values as XSTREAMER_<PROCESS>_<KEY>.

    Raises: SettingsError for a key that the process does not know, which is a typing error.
    """
    prefix = f"XSTREAMER_{process.upper()}_"
    known = config_class(process).model_fields
    from_environment = {
        key.removeprefix(prefix).lower() for key in environ if key.startswith(prefix)
    }
    if unknown := sorted({*values, *from_environment} - known.keys()):
        raise SettingsError(
            f"[{process}] of xstreamer.toml or {prefix}* sets {', '.join(unknown)}, which the "
            f"{process} does not know. It knows: {', '.join(sorted(known))}"
        )
    written = {f"{prefix}{key.upper()}": _text(value) for key, value in values.items()}
    return {**environ, "PYTHONUNBUFFERED": "1", **written}


def _text(value: Any) -> str:
    """pydantic-settings reads lists and tables as JSON, the rest as it stands."""
    if isinstance(value, list | dict | tuple):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
