"""The agent's lifeline at the gateway: a connection that says nothing but that this process lives.

LiveKit keeps the place of a participant that died for 20 s; the kernel closes a dead process's
connections at once. A call that ends in order closes its lifeline in order.
"""

import asyncio
import logging
from typing import Final
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from services.room_agent.config import GatewayAddress
from services.room_agent.gateway_line import signature

log = logging.getLogger(__name__)

HOLDS_ONE: Final = "xs.lifeline"
"""Attribute of an avatar that holds a lifeline, if only the gateway is there."""
AT_ONCE_S: Final = 0.1
"""A line that broke is held again before the gateway takes the agent for dead."""
AGAIN_S: Final = 1.0
OPEN_TIMEOUT_S: Final = 3.0
PING_S: Final = 5.0
"""Between hosts a connection can be dead and say nothing."""


def claim(call_id: str, identity: str) -> bytes:
    """What the agent signs: whose life it is, in which call."""
    return f"{call_id} {identity}".encode()


async def hold_lifeline(address: GatewayAddress | None, call_id: str, identity: str) -> None:
    """Hold it until cancelled; a gateway that is away costs the call nothing."""
    if address is None:
        return
    base = address.url.rstrip("/").replace("http", "ws", 1)
    url = f"{base}/api/calls/{quote(call_id)}/lifeline?identity={quote(identity)}"
    again_s = AT_ONCE_S
    while True:
        headers = {"Authorization": signature(address, claim(call_id, identity))}
        try:
            async with connect(
                url,
                additional_headers=headers,
                ssl=address.trust if url.startswith("wss") else None,
                open_timeout=OPEN_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                proxy=None,
            ) as line:
                again_s = AT_ONCE_S
                try:
                    await line.wait_closed()
                finally:
                    await line.close()  # in order, also when the call is over
        except (OSError, TimeoutError, WebSocketException) as error:
            log.debug("the gateway holds no lifeline", extra={"reason": repr(error)})
        await asyncio.sleep(again_s)
        again_s = AGAIN_S
