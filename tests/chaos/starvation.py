"""An engine that gets too little of the processor, as on a machine that does too much."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
from prometheus_client.parser import text_string_to_metric_families

from actor_server.saving import Saving
from tests.conftest import Stack

PERIOD_S = 0.1
LOOK_EVERY_S = 0.5
EASED = "xstreamer_actor_eased_sessions"


@asynccontextmanager
async def starved(pid: int, share: float) -> AsyncIterator[None]:
    """The process runs for this share of the time only."""

    async def hold_back() -> None:
        try:
            while True:
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(PERIOD_S * (1 - share))
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(PERIOD_S * share)
        finally:
            os.kill(pid, signal.SIGCONT)

    holding = asyncio.create_task(hold_back(), name="starve")
    try:
        yield
    finally:
        holding.cancel()
        await asyncio.wait({holding})


async def saved_steps(stack: Stack) -> int:
    """By how many steps the Actor's calls save work, together, as its metrics tell."""
    url = f"http://127.0.0.1:{stack.env['XSTREAMER_ACTOR_METRICS_PORT']}/metrics"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = (await client.get(url)).raise_for_status()
    return sum(
        round(row.value) * Saving[row.labels["step"].upper()]
        for family in text_string_to_metric_families(answer.text)
        for row in family.samples
        if row.name == EASED
    )


async def settled_steps(stack: Stack, timeout_s: float) -> int:
    """0 as soon as no work is saved; else what a slow machine saves of a call all the time."""
    with suppress(TimeoutError):
        return await until_saved(stack, lambda steps: steps == 0, timeout_s)
    return await saved_steps(stack)


async def until_saved(stack: Stack, enough: Callable[[int], bool], timeout_s: float) -> int:
    """The steps saved as soon as something holds of them. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not enough(steps := await saved_steps(stack)):  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(LOOK_EVERY_S)
    return steps
