"""Security headers of every answer, request metrics, and nothing else."""

import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import REQUEST_SECONDS, REQUESTS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "microphone=(self), camera=(self), geolocation=(), payment=()",
}
DOCS_PATH = "/docs"
HTTPS_ONLY = f"max-age={365 * 24 * 3600}"
"""Without subdomains: they may be another's."""


def content_security_policy(host: str, livekit_public_url: str | None, path: str) -> str:
    """Only our own scripts run. Some browsers do not count websockets to our own host as 'self'."""
    connect = ["'self'", f"ws://{host}", f"wss://{host}"]
    if livekit_public_url is not None:
        netloc = urlsplit(livekit_public_url).netloc
        connect += [f"ws://{netloc}", f"wss://{netloc}", f"http://{netloc}", f"https://{netloc}"]
    # Swagger UI writes style attributes.
    style = "'self' 'unsafe-inline'" if path.startswith(DOCS_PATH) else "'self'"
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": style,
        "img-src": "'self' blob: data:",
        "media-src": "'self' blob:",
        "worker-src": "'self' blob:",
        "connect-src": " ".join(connect),
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class HeadersMiddleware:
    """Plain ASGI, so that streamed bodies stay streamed."""

    def __init__(self, app: ASGIApp, livekit_public_url: str | None) -> None:
        self._app = app
        self._livekit_public_url = livekit_public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        host = Headers(scope=scope).get("host", "")
        policy = content_security_policy(host, self._livekit_public_url, scope["path"])
        # Also behind a proxy that is believed. Never of `localhost`, where others listen too.
        name = host.partition(":")[0].lower()
        https_only = scope["scheme"] == "https" and not name.endswith("localhost")
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = policy
                if https_only:
                    headers["Strict-Transport-Security"] = HTTPS_ONLY
                for name, value in _ALWAYS.items():
                    headers[name] = value
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            REQUESTS.labels(_known(scope["method"]), route, status).inc()
            REQUEST_SECONDS.labels(route).observe(time.perf_counter() - began_s)


def _known(method: str) -> str:
    """Anything may stand in a request's first line; each new word would be kept for ever."""
    return method if method in METHODS else "other"
