"""The model's thread outlives whatever its sessions give up or do wrong."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from threading import Event

import numpy as np
import pytest
import pytest_asyncio

from thinker_server.errors import GenerationFailed
from thinker_server.glm4voice.generation import Emitted
from thinker_server.glm4voice.token_thread import TokenThread

pytestmark = pytest.mark.unit

STATE = np.zeros(4, np.float16)


class HeldGeneration:
    """Does what a Generation is told, one order at a time, and each only when it is let."""

    def __init__(self) -> None:
        self.held, self.reached = Event(), Event()
        self.held.set()
        self.done: list[tuple[str, int]] = []
        self.left = 0
        self.problem: Exception | None = None

    @property
    def busy(self) -> bool:
        return self.left > 0

    def open(self) -> int:
        self._do("open", 0)
        return 0

    def begin(self, number: int, ids: Sequence[int], tokens: int, seed: int) -> int:
        self._do("answer" if tokens else "read", number)
        self.left = tokens
        return 0

    def stop(self, number: int) -> None:
        self._do("stop", number)
        self.left = 0

    def close(self, number: int) -> None:
        self._do("close", number)

    def forget(self) -> None:
        self.left = 0

    def step(self) -> list[Emitted]:
        if self.problem is not None:
            raise self.problem
        self.left -= 1
        return [Emitted(0, self.left, STATE, last=self.left == 0)]

    def _do(self, name: str, slot: int) -> None:
        self.reached.set()
        assert self.held.wait(10)
        self.done.append((name, slot))


@pytest_asyncio.fixture
async def model() -> AsyncIterator[tuple[HeldGeneration, TokenThread]]:
    generation = HeldGeneration()
    thread = TokenThread(generation)  # type: ignore[arg-type]
    yield generation, thread
    generation.held.set()
    await asyncio.to_thread(thread.close)


async def said(thread: TokenThread) -> list[int]:
    async with asyncio.timeout(10):
        return [one.token_id async for one in thread.answer(0, [1], tokens=3, seed=0)]


async def hold(generation: HeldGeneration, thread: TokenThread) -> "asyncio.Task[None]":
    """The thread is in the middle of an order, and every later one waits."""
    generation.held.clear()
    generation.reached.clear()
    first = asyncio.create_task(thread.read(7, [1]))
    assert await asyncio.to_thread(generation.reached.wait, 10)
    return first


async def test_an_order_that_is_given_up_while_it_waits_is_never_carried_out(
    model: tuple[HeldGeneration, TokenThread],
) -> None:
    generation, thread = model
    first = await hold(generation, thread)
    given_up = asyncio.create_task(thread.read(0, [1]))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    generation.held.set()
    await first
    assert await said(thread) == [2, 1, 0], "the thread goes on"
    assert ("read", 0) not in generation.done


async def test_an_order_that_is_given_up_in_its_middle_harms_nobody(
    model: tuple[HeldGeneration, TokenThread],
) -> None:
    generation, thread = model
    first = await hold(generation, thread)
    first.cancel()
    await asyncio.wait([first])
    generation.held.set()
    assert await said(thread) == [2, 1, 0]


async def test_an_answer_given_up_while_it_begins_is_stopped(
    model: tuple[HeldGeneration, TokenThread],
) -> None:
    generation, thread = model
    generation.held.clear()
    generation.reached.clear()
    answer = asyncio.create_task(said(thread))
    assert await asyncio.to_thread(generation.reached.wait, 10)
    answer.cancel()
    await asyncio.wait([answer])
    generation.held.set()
    assert await thread.open() == 0
    assert generation.done == [("answer", 0), ("stop", 0), ("open", 0)]
    assert not generation.busy


async def test_a_place_is_freed_even_if_nobody_waits_for_it(
    model: tuple[HeldGeneration, TokenThread],
) -> None:
    generation, thread = model
    first = await hold(generation, thread)
    freed = asyncio.create_task(thread.free(3))
    await asyncio.sleep(0)
    freed.cancel()
    await asyncio.wait([freed])
    generation.held.set()
    await first
    assert await thread.open() == 0
    assert ("close", 3) in generation.done


@pytest.mark.parametrize("problem", [RuntimeError("out of memory"), KeyError(3)])
async def test_whatever_a_step_raises_the_next_answer_is_made(
    model: tuple[HeldGeneration, TokenThread], problem: Exception
) -> None:
    generation, thread = model
    generation.problem = problem
    with pytest.raises(GenerationFailed, match="ask again"):
        await said(thread)
    generation.problem = None
    assert await said(thread) == [2, 1, 0]
