"""What routes are given: the services of this app and facts about the request."""

from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends
from livekit import api
from starlette.requests import HTTPConnection

from gateway.admission import Admission
from gateway.avatars import Avatars
from gateway.background import Background
from gateway.calls import Calls
from gateway.keys import Keys
from gateway.latency import Latency
from gateway.lifelines import Lifelines
from gateway.rate_limits import RateLimit
from gateway.readiness import ReadinessProbe
from gateway.retention import Retention
from gateway.settings import GatewaySettings
from gateway.workers import Workers


@dataclass(frozen=True)
class Services:
    """Built at start, one of each."""

    settings: GatewaySettings
    avatars: Avatars
    calls: Calls
    admission: Admission
    latency: Latency
    lifelines: Lifelines
    retention: Retention
    readiness: ReadinessProbe
    keys: Keys
    creations: RateLimit
    token_verifier: api.TokenVerifier
    """Of whatever is signed with our LiveKit key."""
    http: httpx.AsyncClient
    workers: Workers
    background: Background


def services_of(connection: HTTPConnection) -> Services:
    found = connection.app.state.services
    assert isinstance(found, Services)
    return found


ServicesDep = Annotated[Services, Depends(services_of)]


@dataclass(frozen=True)
class PublicUrls:
    """Addresses as this client sees us."""

    page: str
    livekit: str

    def call(self, room: str, token: str) -> str:
        """The token stays in the fragment, which browsers never send to a server."""
        return f"{self.page}/call/{room}#token={token}"


def public_urls(connection: HTTPConnection, services: ServicesDep) -> PublicUrls:
    """A proxy in front of us must pass Host and X-Forwarded-Proto (uvicorn reads the latter)."""
    secure = connection.url.scheme in ("https", "wss")
    netloc = connection.url.netloc
    livekit = services.settings.livekit_public_url
    if livekit is None:
        livekit = f"{'wss' if secure else 'ws'}://{netloc}/livekit"
    return PublicUrls(f"{'https' if secure else 'http'}://{netloc}", livekit)


PublicUrlsDep = Annotated[PublicUrls, Depends(public_urls)]
