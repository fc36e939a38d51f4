"""The thread that owns the model: sessions await their tokens, the event loop never waits."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

from thinker_server.errors import GenerationFailed
from thinker_server.glm4voice.generation import Emitted, Generation

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_WAITING_ORDERS = 4096
"""A session gives a few for each turn, and the thread takes them between two tokens."""
Deliver = Callable[[Emitted | GenerationFailed], None]
_Order = tuple[Future[Any], Callable[[], Any]]


class TokenThread:
    """Started at once; `close` ends it. Its methods are called from the event loop."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._orders: Queue[_Order | None] = Queue(MAX_WAITING_ORDERS)
        self._listeners: dict[int, Deliver] = {}
        self._thread = Thread(target=self._run, name="tokens", daemon=True)
        self._thread.start()

    async def open(self) -> int:
        """A slot for a session. Raises TooManySessions."""
        return await self._do(self._generation.open)

    async def read(self, slot: int, ids: Sequence[int]) -> None:
        """Begin to read a context ahead of the question; nobody waits for it."""
        await self._do(partial(self._generation.begin, slot, ids, 0, 0))

    async def answer(
        self, slot: int, ids: Sequence[int], tokens: int, seed: int
    ) -> AsyncGenerator[Emitted, None]:
        """At most so many tokens of an answer. Closing the generator stops the model.

        Raises GenerationFailed.
        """
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[Emitted | GenerationFailed] = asyncio.Queue(tokens + 1)

        def deliver(item: Emitted | GenerationFailed) -> None:
            loop.call_soon_threadsafe(made.put_nowait, item)

        try:
            await self._do(partial(self._begin, slot, ids, tokens, seed, deliver))
            while True:
                item = await made.get()
                if isinstance(item, GenerationFailed):
                    raise item
                yield item
                if item.last:
                    return
        finally:
            self._order(partial(self._stop, slot))

    async def free(self, slot: int) -> None:
        """The session is over, whether or not its end is waited for."""
        await asyncio.shield(self._do(partial(self._generation.close, slot)))

    def close(self) -> None:
        """End the thread after its current step."""
        self._orders.put(None)
        self._thread.join()

    async def _do(self, work: Callable[[], T]) -> T:
        """Whoever gives up waiting takes back an order that the thread has not begun."""
        return await asyncio.wrap_future(self._order(work))

    def _order(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._orders.put_nowait((future, work))
        return future

    # --- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while self._take_orders():
            try:
                emitted = self._generation.step()
            except Exception:  # noqa: BLE001 - the other sessions need this thread
                self._fail()
                continue
            for one in emitted:
                self._listeners[one.slot](one)

    def _take_orders(self) -> bool:
        """All that wait; waits itself while there is nothing else to do. False: it is the end."""
        while not self._orders.empty() or not self._generation.busy:
            order = self._orders.get()
            if order is None:
                return False
            future, work = order
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - belongs to the session that gave the order
                future.set_exception(error)
        return True

    def _begin(
        self, slot: int, ids: Sequence[int], tokens: int, seed: int, deliver: Deliver
    ) -> None:
        self._generation.begin(slot, ids, tokens, seed)
        self._listeners[slot] = deliver

    def _stop(self, slot: int) -> None:
        self._generation.stop(slot)
        self._listeners.pop(slot, None)

    def _fail(self) -> None:
        log.exception("a step of the model failed", extra={"sessions": len(self._listeners)})
        self._generation.forget()
        listeners, self._listeners = self._listeners, {}
        for deliver in listeners.values():
            deliver(GenerationFailed("the model failed in the middle of the answer; ask again"))
