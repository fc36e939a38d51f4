"""LiveKit's signalling under /livekit, so that one address and one certificate serve everything.

Media does not pass here: it goes straight between browser and LiveKit.
"""

import asyncio
import logging
import re
from urllib.parse import urlsplit, urlunsplit

import httpx
from fastapi import APIRouter, Response, WebSocket
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from gateway.deps import ServicesDep, services_of
from gateway.errors import GatewayError, unavailable
from gateway.metrics import SIGNAL_CONNECTIONS

logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)

SIGNAL_PATHS = ("rtc", "rtc/v1")
OPEN_TIMEOUT_S = 5.0
QUERY = re.compile(r"[!-\"$-~]*")
TOKEN = re.compile(r"[ -~]*")
MAX_SIGNAL_BYTES = 1024 * 1024
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001


def upstream_url(livekit_url: str, path: str, query: str, *, websocket: bool) -> str:
    """LiveKit's address of a signalling path."""
    base = urlsplit(livekit_url)
    secure = base.scheme in ("wss", "https")
    scheme = ("wss" if secure else "ws") if websocket else ("https" if secure else "http")
    return urlunsplit((scheme, base.netloc, f"{base.path.rstrip('/')}/{path}", query, ""))


@router.get("/livekit/rtc/validate")
@router.get("/livekit/rtc/v1/validate")
async def validate(connection: HTTPConnection, services: ServicesDep) -> Response:
    """Clients ask here why a connection was refused."""
    url, headers = _upstream(connection, services.settings.livekit_url, websocket=False)
    try:
        answer = await services.http.get(url, headers=headers)
    except httpx.HTTPError:
        raise unavailable(
            "livekit_unavailable", "The LiveKit server does not answer", "Look at /readyz."
        ) from None
    return Response(answer.content, answer.status_code, media_type="text/plain")


async def signal(browser: WebSocket) -> None:
    """One signalling connection, in both directions, until either side ends it."""
    try:
        url, headers = _upstream(browser, services_of(browser).settings.livekit_url, websocket=True)
    except GatewayError as refusal:
        await browser.send_denial_response(Response(str(refusal), refusal.problem.status))
        return
    try:
        async with connect(
            url,
            additional_headers=headers,
            open_timeout=OPEN_TIMEOUT_S,
            max_size=MAX_SIGNAL_BYTES,
            compression=None,
            proxy=None,
        ) as livekit:
            await browser.accept()
            with SIGNAL_CONNECTIONS.track_inprogress():
                await _relay(browser, livekit)
    except InvalidStatus as refusal:
        response = refusal.response
        await browser.send_denial_response(Response(bytes(response.body), response.status_code))
    except (OSError, TimeoutError, WebSocketException):
        logger.warning("LiveKit does not answer")
        await browser.send_denial_response(Response("LiveKit does not answer", 503))


for _path in SIGNAL_PATHS:
    router.add_api_websocket_route(f"/livekit/{_path}", signal)


def _upstream(
    connection: HTTPConnection, livekit_url: str, *, websocket: bool
) -> tuple[str, dict[str, str]]:
    """Where a request goes on to, and with which headers. Raises GatewayError 400.

    Both are printable ASCII, a query without fragment; our own clients would fail on anything else.
    """
    path: str = connection.scope["path"].removeprefix("/livekit/")
    query = connection.scope["query_string"].decode("latin-1")
    token = connection.headers.get("authorization", "")
    if not QUERY.fullmatch(query) or not TOKEN.fullmatch(token):
        raise GatewayError(400, "bad_token", "The token is none", "Ask for a new one.")
    url = upstream_url(livekit_url, path, query, websocket=websocket)
    return url, {"Authorization": token} if token else {}


async def _relay(browser: WebSocket, livekit: ClientConnection) -> None:
    up = asyncio.create_task(_browser_to_livekit(browser, livekit), name="signal-up")
    down = asyncio.create_task(_livekit_to_browser(livekit, browser), name="signal-down")
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _browser_to_livekit(browser: WebSocket, livekit: ClientConnection) -> None:
    try:
        while True:
            message = await browser.receive()
            if message["type"] == "websocket.disconnect":
                await livekit.close()
                return
            content = message.get("bytes")
            await livekit.send(message["text"] if content is None else content)
    except ConnectionClosed:
        return


async def _livekit_to_browser(livekit: ClientConnection, browser: WebSocket) -> None:
    try:
        async for content in livekit:
            if isinstance(content, str):
                await browser.send_text(content)
            else:
                await browser.send_bytes(content)
        await browser.close(NORMAL_CLOSURE)
    except ConnectionClosed:
        await browser.close(GOING_AWAY)
    except (WebSocketDisconnect, RuntimeError):
        return  # the browser left first
