"""The agent's end of its lifeline: whoever lives is back before being taken for dead."""

import asyncio
from itertools import pairwise

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway.watchdog import DEATH_S
from services.room_agent.config import GatewayAddress
from services.room_agent.lifeline import hold_lifeline

pytestmark = pytest.mark.unit


async def test_a_line_that_broke_is_held_again_before_its_agent_counts_as_dead():
    begun: asyncio.Queue[float] = asyncio.Queue()
    clock = asyncio.get_running_loop().time

    async def cut_off(line: ServerConnection) -> None:
        begun.put_nowait(clock())
        await asyncio.sleep(0.05)
        line.transport.abort()

    async with serve(cut_off, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = GatewayAddress(f"http://127.0.0.1:{port}", "key", "secret" * 6, None)
        holding = asyncio.create_task(hold_lifeline(address, "call-1", "avatar-1"))
        moments = [await asyncio.wait_for(begun.get(), 5) for _ in range(4)]
        holding.cancel()
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert max(gaps) < DEATH_S


async def test_it_ends_in_order_when_the_call_is_over():
    codes: asyncio.Queue[int | None] = asyncio.Queue()
    held = asyncio.Event()

    async def hold(line: ServerConnection) -> None:
        held.set()
        await line.wait_closed()
        codes.put_nowait(line.close_code)

    async with serve(hold, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = GatewayAddress(f"http://127.0.0.1:{port}", "key", "secret" * 6, None)
        holding = asyncio.create_task(hold_lifeline(address, "call-1", "avatar-1"))
        await asyncio.wait_for(held.wait(), 5)
        await asyncio.sleep(0.1)  # the client's side of the handshake
        holding.cancel()
        assert await asyncio.wait_for(codes.get(), 5) == 1000
