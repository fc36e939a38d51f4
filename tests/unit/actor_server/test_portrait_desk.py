"""The portrait desk: one at a time, calls first, bounded, and never for ever."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from actor_server.errors import PortraitDeskBusy, PortraitRefused
from actor_server.face import Face
from actor_server.portrait_desk import FACES_IN_MEMORY, QUEUE_SIZE, PortraitDesk
from tests.unit.actor_server.faces import SketchFace, SketchStudio, SketchVerdict

pytestmark = pytest.mark.unit


@dataclass
class SlowStudio(SketchStudio):
    """Works only while its door is open; remembers the order of its work."""

    door: threading.Event = field(default_factory=threading.Event)
    order: list[str] = field(default_factory=list)

    def check(self, image: bytes) -> SketchVerdict:
        self.door.wait(5)
        self.order.append(f"check {image.decode()}")
        return SketchVerdict("ok")

    def build(self, image: bytes) -> Face:
        self.door.wait(5)
        self.order.append(f"build {image.decode()}")
        return SketchFace()


@asynccontextmanager
async def serving(studio: SketchStudio, timeout_s: float = 5.0) -> AsyncIterator[PortraitDesk]:
    desk = PortraitDesk(studio, timeout_s)
    task = asyncio.create_task(desk.run())
    try:
        yield desk
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_face_is_built_once_and_shared() -> None:
    studio = SketchStudio()
    async with serving(studio) as desk:
        first, again = await desk.face(b"face 1"), await desk.face(b"face 1")
    assert first is again
    assert studio.built == 1


async def test_a_face_that_is_being_built_is_not_built_again() -> None:
    studio = SlowStudio()
    async with serving(studio) as desk:
        asked = [asyncio.create_task(desk.face(b"face 1")) for _ in range(3)]
        await asyncio.sleep(0.05)
        studio.door.set()
        faces = await asyncio.gather(*asked)
    assert faces[0] is faces[1] is faces[2]
    assert studio.order == ["build face 1"]


async def test_it_remembers_a_bounded_number_of_faces() -> None:
    studio = SketchStudio()
    async with serving(studio) as desk:
        for number in range(FACES_IN_MEMORY + 1):
            await desk.face(f"face {number}".encode())
        await desk.face(f"face {FACES_IN_MEMORY}".encode())
        assert studio.built == FACES_IN_MEMORY + 1
        await desk.face(b"face 0")
    assert studio.built == FACES_IN_MEMORY + 2


async def test_a_refusal_says_why_and_is_not_remembered() -> None:
    async with serving(SketchStudio()) as desk:
        for _ in range(2):
            with pytest.raises(PortraitRefused, match="picture") as refused:
                await desk.face(b"landscape")
            assert refused.value.code == "no_face"


async def test_calls_go_before_checks() -> None:
    studio = SlowStudio()
    async with serving(studio) as desk:
        first = asyncio.create_task(desk.check(b"one"))
        await asyncio.sleep(0)  # the desk is busy with it
        check = asyncio.create_task(desk.check(b"two"))
        await asyncio.sleep(0)
        call = asyncio.create_task(desk.face(b"face 3"))
        await asyncio.sleep(0)
        studio.door.set()
        await asyncio.gather(first, check, call)
    assert studio.order == ["check one", "build face 3", "check two"]


async def test_a_crowd_is_sent_away() -> None:
    studio = SlowStudio()
    async with serving(studio) as desk:
        crowd = [asyncio.create_task(desk.check(b"x")) for _ in range(QUEUE_SIZE + 8)]
        await asyncio.sleep(0.05)
        studio.door.set()
        answers = await asyncio.gather(*crowd, return_exceptions=True)
    sent_away = [answer for answer in answers if isinstance(answer, PortraitDeskBusy)]
    assert 0 < len(sent_away) <= 8
    assert all(error.retryable for error in sent_away)


async def test_nobody_waits_for_ever() -> None:
    studio = SlowStudio()
    async with serving(studio, timeout_s=0.05) as desk:
        with pytest.raises(PortraitDeskBusy, match="not ready"):
            await desk.face(b"face 1")
        studio.door.set()
