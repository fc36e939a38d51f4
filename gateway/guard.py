"""What is refused before any route sees it: foreign hosts, other sites' requests, floods."""

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import GatewayError, problem_response
from gateway.rate_limits import RateLimit, network_of
from gateway.settings import GatewaySettings
from proto.endpoints import is_loopback

HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
"""Nothing that could mean something in a header: the host is repeated in our policy."""
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OUR_OWN_SITE: Final = frozenset({"same-origin", "none"})
MACHINES: Final = ("/api/calls/", "/api/livekit/webhook", "/api/workers")
"""Not counted: one agent host speaks for all of its calls, signed."""
POLICY_VIOLATION: Final = 1008


class GuardMiddleware:
    """Plain ASGI, so that streamed bodies stay streamed."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._is_open = settings.is_open
        self._requests = RateLimit(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope, Headers(scope=scope))
        except GatewayError as refused:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            else:
                await problem_response(refused.problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not HOST.fullmatch(host):
            raise GatewayError(400, "bad_host", "The Host header is not an address")
        if self._is_open:
            check_local_host(host)
        elif not scope["path"].startswith(MACHINES):
            client = scope.get("client")
            self._requests.take(network_of(client[0]) if client else "")
        if scope.get("method", "GET") not in READING:
            check_same_site(headers, host)


def check_local_host(host: str) -> None:
    """A foreign name that leads here is how other sites' pages reach a local server.

    Raises GatewayError 421.
    """
    if not is_loopback(urlsplit(f"//{host}").hostname or ""):
        raise GatewayError(
            421,
            "wrong_host",
            "Without keys this server answers to 127.0.0.1 and localhost only",
            "Open it under http://127.0.0.1. Behind a proxy set `require_keys = true` in [gateway] "
            "of xstreamer.toml and make a key with `xstreamer keys create`.",
        )


def check_same_site(headers: Headers, host: str) -> None:
    """Browsers say from where a request comes; programs do not, and carry no cookies.

    Raises GatewayError 403.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    foreign_site = site is not None and site not in OUR_OWN_SITE
    foreign_origin = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    if foreign_site or foreign_origin:
        raise GatewayError(
            403,
            "cross_site",
            "Pages of other sites may not do this",
            "Use X-Streamer's own page, or call REST from a program.",
        )
