"""The one long call, sampled while it goes on."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Error as PlaywrightError

from services.callbench.call_page import CallPage
from services.callbench.caller import CallerTimeout, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.gateway_client import gateway_at
from services.callbench.machine import Machine
from services.callbench.own_stack import OwnStack
from services.soak.conversation import Conversation
from services.soak.likeness import LikenessMeter
from services.soak.sampler import Sampler
from services.soak.samples import About, End, Journal, Sample

SAMPLE_EVERY_S = 30.0
SAMPLE_WITHIN_S = 25.0
LEAST_SAMPLE_S = 10.0
"""What is left at the end of a call and shorter than this is no sample of its own."""
COMPLETE = "complete"
STOPPED = "stopped early"
SAMPLES = "samples.jsonl"
FRAMES = "frames"

Say = Callable[[str], None]
Clock = Callable[[], float]
"""Seconds since the call began."""


class CallNotMade(Exception):
    """The call could not begin."""


@dataclass(frozen=True)
class SoakPlan:
    """What to do."""

    hours: float
    avatar: str
    preset: str
    folder: Path
    assets: Path


def clear(folder: Path) -> None:
    """Forget the soak before."""
    (folder / SAMPLES).unlink(missing_ok=True)
    for frame in (folder / FRAMES).glob("*.jpg"):
        frame.unlink()


async def soak(plan: SoakPlan, machine: Machine, stack: OwnStack, tell: Say) -> None:
    """Call for hours; everything seen goes into the journal, whatever happens.

    Raises: CallNotMade, BrowserMissing.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    journal = Journal(plan.folder / SAMPLES)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        async with (
            gateway_at(stack.url) as gateway,
            open_caller(CallbenchConfig(), light=True) as caller,
        ):
            portrait = await _portrait(gateway, plan.avatar)
            likeness = LikenessMeter(plan.assets, portrait, plan.folder / FRAMES)
            page = CallPage(caller, stack.url)
            try:
                await page.call(plan.avatar)
                brain = await page.brain()
            except (CallerTimeout, PlaywrightError) as error:
                raise CallNotMade(f"the call with {plan.avatar} did not begin: {error}") from error
            journal.write(
                About(
                    machine=asdict(machine),
                    preset=plan.preset,
                    avatar=plan.avatar,
                    brain=brain,
                    hours=plan.hours,
                )
            )
            clock = _started()
            conversation = Conversation(caller, page, clock)
            sampler = Sampler(stack, gateway, caller, page, conversation, likeness)
            talking = asyncio.create_task(conversation.run(3600 * plan.hours), name="talking")
            try:
                async for sample in _sampled(sampler, clock, talking, stopping):
                    journal.write(sample)
                    tell(_line(sample))
                if talking.done():
                    talking.result()
                journal.write(End(reason=STOPPED if stop.is_set() else COMPLETE))
            finally:
                talking.cancel()
    except PlaywrightError as error:
        # Ctrl-C reaches the browser too.
        told = f"the browser ended: {str(error).splitlines()[0]}"
        journal.write(End(reason=STOPPED if stop.is_set() else told))
    except TimeoutError:
        journal.write(End(reason=f"the page did not answer within {SAMPLE_WITHIN_S:.0f} s"))
    finally:
        stopping.cancel()


async def _sampled(
    sampler: Sampler, clock: Clock, talking: asyncio.Task[None], stopping: asyncio.Task[Any]
) -> AsyncIterator[Sample]:
    """A sample every half minute, and one at the end of the call."""
    while not talking.done():
        due_s = (clock() // SAMPLE_EVERY_S + 1) * SAMPLE_EVERY_S
        await asyncio.wait(
            {talking, stopping}, timeout=due_s - clock(), return_when=asyncio.FIRST_COMPLETED
        )
        if stopping.done():
            return
        if clock() >= due_s or clock() % SAMPLE_EVERY_S > LEAST_SAMPLE_S:
            async with asyncio.timeout(SAMPLE_WITHIN_S):
                sample = await sampler.take(clock())
            yield sample


def _started() -> Clock:
    began_s = time.monotonic()
    return lambda: time.monotonic() - began_s


async def _portrait(gateway: httpx.AsyncClient, avatar: str) -> bytes:
    """The picture that the avatar was made from."""
    told = (await gateway.get("/api/avatars")).raise_for_status().json()
    found = next((one for one in told if avatar in (one["id"], one["name"].lower())), None)
    if found is None:
        names = ", ".join(one["id"] for one in told)
        raise CallNotMade(f"there is no avatar {avatar}; there are {names}")
    return (await gateway.get(found["preview_url"])).raise_for_status().content


def _line(sample: Sample) -> str:
    """One sample for a person who watches."""
    product_mb = sum(use.pss_mb for use in sample.product.values())
    got = sample.reception
    fps = "no picture" if got.fps is None else f"{got.fps:.1f} fps"
    offset = "" if got.av_offset_ms is None else f", A/V {got.av_offset_ms:+.0f} ms"
    stolen = "" if not sample.stolen else f", {100 * sample.stolen:.0f} % of the time stolen"
    same = "" if sample.likeness is None else f", identity {sample.likeness.portrait:.2f}"
    return (
        f"{sample.at_s / 60:6.1f} min: {product_mb:.0f} MB, {fps}{offset}{same}, "
        f"{sample.asked} asked, {len(sample.unanswered)} unanswered now{stolen}"
    )
