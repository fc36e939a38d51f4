"""Everything that can be set about the room agent; environment prefix XSTREAMER_AGENT_."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from proto.endpoints import ACTOR_ENDPOINT, THINKER_ENDPOINT
from proto.wire.curve import CurveClient
from services.room_agent.job import DEFAULT_AGENT_NAME
from services.room_agent.turn_detector import TurnTuning

Milliseconds = Annotated[int, Field(ge=0, le=10_000)]
Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
_TURN = TurnTuning()


@dataclass(frozen=True)
class GatewayAddress:
    """Where the gateway is, the key that both sides know, and the certificate it may show."""

    url: str
    api_key: str
    api_secret: str
    certificate: Path | None = None

    @property
    def trust(self) -> ssl.SSLContext:
        """Whom to believe that it is the gateway."""
        return ssl.create_default_context(cafile=self.certificate)


class AgentConfig(BaseSettings):
    """Deployment of one agent worker. Built once, in `__main__`; every job gets a copy."""

    model_config = SettingsConfigDict(
        env_prefix="XSTREAMER_AGENT_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    livekit_url: str = "ws://127.0.0.1:7880"
    livekit_api_key: str
    livekit_api_secret: SecretStr
    agent_name: str = DEFAULT_AGENT_NAME
    thinker_endpoint: str = THINKER_ENDPOINT
    actor_endpoint: str = ACTOR_ENDPOINT
    thinker_actor_endpoint: str | None = None
    """Where the Thinker reaches the Actor, if it is not where the agent reaches it."""
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    log_level: str = "INFO"
    gateway_url: str | None = None
    """Where calls report their turns and what their pages see; None: nowhere."""
    gateway_certificate: Path | None = None
    """The certificate that the gateway shows, where no authority signed it."""

    provenance_key: SecretStr = SecretStr("")
    """Signs that streams are synthetic: an Ed25519 key, 32 bytes in base64url; empty: unsigned."""

    num_idle_processes: Annotated[int, Field(ge=0, le=64)] = 1
    """Warm processes: a call that finds one starts in milliseconds, else in about two seconds."""
    max_calls: Annotated[int, Field(ge=1, le=256)] = 4
    """Calls at a time; a worker that is full tells LiveKit to ask another one. `xstreamer up`
    lowers it to the `max_sessions` of the Thinker and the Actor that it starts beside it."""
    drain_timeout_s: Annotated[int, Field(ge=0)] = 10
    """How long running calls may go on after SIGTERM."""
    leave_after_s: Seconds = 16.0
    """A caller who is away for longer will not come back; LiveKit's departure timeout is 15 s."""

    audio_queue_ms: Annotated[int, Field(ge=20, le=500, multiple_of=10)] = 100
    """Audio ahead of the speaker. It is cleared on barge-in and at the start of a reply, so its
    length costs no latency; it bridges the moments when the engines hold both cores."""

    voice_threshold: Probability = _TURN.voice_threshold
    start_ms: Milliseconds = _TURN.start_ms
    barge_in_ms: Milliseconds = _TURN.barge_in_ms
    hold_ms: Milliseconds = _TURN.hold_ms
    pause_ms: Milliseconds = _TURN.pause_ms
    judge_ms: Milliseconds = _TURN.judge_ms
    sure_wait_ms: Milliseconds = _TURN.sure_wait_ms
    unsure_wait_ms: Milliseconds = _TURN.unsure_wait_ms
    max_turn_ms: Annotated[int, Field(ge=1_000, le=300_000)] = _TURN.max_turn_ms
    """See TurnTuning for these."""
    end_of_turn_model: bool = True
    """False saves about 250 MB; every turn then ends after `unsure_wait_ms`."""

    engine_silence_s: Seconds = 3.0
    """An engine that owes something and says nothing for so long is opened again."""
    reply_timeout_s: Seconds = 20.0
    """A reply that has not begun after so long is given up."""

    curve_public_key: str = ""
    curve_secret_key: SecretStr = SecretStr("")
    thinker_curve_server_key: str = ""
    actor_curve_server_key: str = ""
    """CURVE keys (Z85) for engines on other hosts; empty: none."""

    def turn_tuning(self) -> TurnTuning:
        """The turn detector's tunables."""
        return TurnTuning(
            voice_threshold=self.voice_threshold,
            start_ms=self.start_ms,
            barge_in_ms=self.barge_in_ms,
            hold_ms=self.hold_ms,
            pause_ms=self.pause_ms,
            judge_ms=self.judge_ms,
            sure_wait_ms=self.sure_wait_ms,
            unsure_wait_ms=self.unsure_wait_ms,
            max_turn_ms=self.max_turn_ms,
        )

    @field_validator("provenance_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr) -> SecretStr:
        if not re.fullmatch(r"([A-Za-z0-9_-]{43}=?)?", key.get_secret_value()):
            raise ValueError("an Ed25519 key is 32 bytes in base64url")
        return key

    def gateway(self) -> GatewayAddress | None:
        """Where reports go."""
        if self.gateway_url is None:
            return None
        secret = self.livekit_api_secret.get_secret_value()
        return GatewayAddress(
            self.gateway_url, self.livekit_api_key, secret, self.gateway_certificate
        )

    def curve_to(self, server_key: str) -> CurveClient | None:
        """The keys towards an engine; None where it has no key of its own."""
        if not server_key:
            return None
        secret = self.curve_secret_key.get_secret_value()
        return CurveClient(self.curve_public_key, secret, server_key)
