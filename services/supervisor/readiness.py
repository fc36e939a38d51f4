"""How the supervisor asks a process whether it is ready."""

import asyncio
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from proto.messages import EngineStatus, Failure, Ping
from proto.wire.curve import CurveClient
from proto.wire.sockets import request

ANSWER_TIMEOUT_S = 3.0
MAX_REASON_CHARACTERS = 160


class Probe(Protocol):
    """Asks once."""

    async def reason_not_ready(self) -> str | None:
        """None when the process is ready, else what it says."""


@dataclass(frozen=True)
class HttpProbe:
    """Ready when the URL answers with a success. The certificate is our own, so not checked."""

    url: str

    async def reason_not_ready(self) -> str | None:
        """None when ready, else the answer's text or the connection's failure."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> str | None:
        insecure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default's CA list takes 20 ms
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=insecure)
        )
        try:
            direct.open(self.url, timeout=ANSWER_TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            return error.read(MAX_REASON_CHARACTERS).decode(errors="replace") or str(error)
        except (OSError, http.client.HTTPException) as error:
            return str(getattr(error, "reason", error))
        return None


@dataclass(frozen=True)
class EngineProbe:
    """Ready when the engine answers a Ping with its status. `curve`: the engine's own keys."""

    endpoint: str
    curve: CurveClient | None = None

    @classmethod
    def of(cls, engine: str, endpoint: str, environ: Mapping[str, str]) -> Self:
        """The probe of an engine that runs with this environment."""
        prefix = f"XSTREAMER_{engine.upper()}_CURVE_"
        public, secret = (environ.get(f"{prefix}{kind}_KEY", "") for kind in ("PUBLIC", "SECRET"))
        return cls(endpoint, CurveClient(public, secret, public) if secret else None)

    async def status(self) -> EngineStatus | str:
        """The engine's status, or why there is none."""
        ping = Ping(session_id="supervisor")
        try:
            answer = await request(self.endpoint, ping, ANSWER_TIMEOUT_S, self.curve)
        except TimeoutError:
            return "loading"
        match answer:
            case EngineStatus():
                return answer
            case Failure(message=text):
                return text
            case other:
                return f"answered with {type(other).__name__}"

    async def reason_not_ready(self) -> str | None:
        """None when ready, else what the engine said."""
        status = await self.status()
        return None if isinstance(status, EngineStatus) else status
