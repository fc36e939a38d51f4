"""Who may call now: as many calls as fit, and a line of those who wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from gateway.capacity import LoadMeter, calls_that_fit
from gateway.errors import GatewayError
from gateway.metrics import CAPACITY, QUEUE_LENGTH, REFUSED
from gateway.settings import GatewaySettings
from gateway.store.calls import CallStore
from gateway.waiting_line import Standing, WaitingLine

ASK_AGAIN_S: Final = 5


@dataclass
class Admission:
    """The door. The clock is a parameter for tests; it counts seconds, monotonically."""

    settings: GatewaySettings
    store: CallStore
    meter: LoadMeter
    clock_s: Callable[[], float] = time.monotonic
    _line: WaitingLine = field(default_factory=WaitingLine)
    _opening: int = 0
    """Calls that were let in and may have no record yet."""
    _door: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        QUEUE_LENGTH.set_function(lambda: self._line.length(self.clock_s()))

    @asynccontextmanager
    async def place(self, ticket: str | None) -> AsyncIterator[None]:
        """Open a call while inside. Raises GatewayError 429, with a ticket, without a place."""
        waited = ticket is not None and self.waits(ticket)
        async with self._door:
            await self._ask(ticket)
            self._opening += 1
        try:
            yield
        except GatewayError as error:
            if (
                ticket is not None
                and waited
                and error.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                self._line.give_back(ticket, self.clock_s())  # no fault of theirs
            raise
        finally:
            self._opening -= 1

    def waits(self, ticket: str) -> bool:
        """Whether the ticket is one of the line's."""
        return self._line.holds(ticket, self.clock_s())

    def leave(self, ticket: str) -> None:
        """Wait no longer."""
        self._line.leave(ticket)

    async def _ask(self, ticket: str | None) -> None:
        opening = self._opening  # read first: a call may then count twice, but never not at all
        live = await asyncio.to_thread(self.store.taken, self.settings.empty_timeout_s)
        taken = live + opening
        fit = calls_that_fit(self.meter.load)
        CAPACITY.set(fit)
        standing = self._line.ask(ticket, fit - taken, self.clock_s())
        if standing.position:
            REFUSED.inc(standing.new)
            usual_s = await asyncio.to_thread(self.store.usual_length_s)
            raise _at_capacity(standing, expected_wait_s(standing.position, taken, usual_s))


def expected_wait_s(position: int, taken: int, usual_length_s: float) -> int:
    """Of `taken` calls one ends every `usual_length_s / taken`, however long they have lasted."""
    return round(position * usual_length_s / max(1, taken))


def _at_capacity(standing: Standing, wait_s: int) -> GatewayError:
    return GatewayError(
        429,
        "at_capacity",
        f"All places are taken: you are number {standing.position}",
        "Ask again with the ticket in the header XStreamer-Ticket to keep your place."
        if standing.ticket
        else "The waiting line is full too: try again later.",
        retry_after_s=ASK_AGAIN_S,
        position=standing.position,
        estimated_wait_s=wait_s,
        ticket=standing.ticket,
    )
