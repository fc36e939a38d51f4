"""What an avatar shows of itself is shown in the end, whatever becomes of a write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.room_agent.attributes import AttributeWriter
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit

LIVEKITS_PATIENCE_S = 5.0


class Room:
    """Loses what is written while it is `away`, and takes its time, as LiveKit's client does."""

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}
        self.writes: list[dict[str, str]] = []
        self.away = False

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.writes.append(attributes)
        if self.away:
            await asyncio.sleep(LIVEKITS_PATIENCE_S)
            return
        merged = self.attributes | attributes
        self.attributes = {key: value for key, value in merged.items() if value}


@asynccontextmanager
async def writer(room: Room) -> AsyncIterator[AttributeWriter]:
    made = AttributeWriter(room)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()


@virtually
async def test_changes_are_written_at_once_and_once() -> None:
    room = Room()
    async with writer(room) as attributes:
        attributes.set("xs.error", "Trying again...")
        await asyncio.sleep(0.01)
        assert room.attributes == {"xs.error": "Trying again..."}
        attributes.set("xs.error", "")
        await asyncio.sleep(60)
        assert room.writes == [{"xs.error": "Trying again..."}, {"xs.error": ""}]


@virtually
async def test_the_newest_of_what_was_lost_on_the_way_is_shown_when_the_room_is_back() -> None:
    room = Room()
    async with writer(room) as attributes:
        room.away = True
        attributes.set("lk.agent.state", "speaking")
        attributes.set("xs.error", "Trying again...")
        await asyncio.sleep(1)
        attributes.set("lk.agent.state", "listening")
        await asyncio.sleep(1)
        room.away = False
        await asyncio.sleep(1.1)
        assert room.attributes == {"lk.agent.state": "listening", "xs.error": "Trying again..."}


@virtually
async def test_what_a_new_connection_has_forgotten_is_written_again() -> None:
    room = Room()
    async with writer(room) as attributes:
        attributes.set("xs.voice", "hibari")
        await asyncio.sleep(1)
        room.attributes = {}
        await asyncio.sleep(1)
        assert room.attributes == {"xs.voice": "hibari"}
