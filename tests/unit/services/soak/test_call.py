"""However the call ends, what was sampled is there, and the journal says why it ended."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Error as PlaywrightError

from services.callbench.machine import Machine
from services.callbench.own_stack import OwnStack
from services.soak import call
from services.soak.call import SAMPLES, SoakPlan, soak
from services.soak.samples import Sample, Soak, read
from tests.unit.services.soak import scene

pytestmark = pytest.mark.unit

MACHINE = Machine(**scene.MACHINE, load_1m=0.0)  # type: ignore[arg-type]
ALL = 4
"""Samples until the caller has said everything."""
At = Callable[[int], None]


class Page:
    async def call(self, avatar: str) -> None: ...

    async def brain(self) -> str:
        return "a model"


class Conversation:
    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def run(self, until_s: float) -> None:
        await self.over.wait()


class Sampler:
    """Gives samples made up before; `at_sample` is told the number of each."""

    def __init__(self, conversation: Conversation, at_sample: At) -> None:
        self._conversation, self._at_sample = conversation, at_sample
        self._samples = scene.soak(hours=0.1).samples
        self._taken = 0

    async def take(self, at_s: float) -> Sample:
        self._taken += 1
        self._at_sample(self._taken)
        if self._taken == ALL:
            self._conversation.over.set()
        return self._samples[self._taken]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[At], Soak]:
    """Makes a call in which nothing but the sampling is real."""

    @asynccontextmanager
    async def nobody(*_: object, **__: object) -> AsyncIterator[None]:
        yield

    async def portrait(*_: object) -> bytes:
        return b""

    def make(at_sample: At) -> Soak:
        monkeypatch.setattr(call, "SAMPLE_EVERY_S", 0.1)
        monkeypatch.setattr(call, "open_caller", nobody)
        monkeypatch.setattr(call, "_portrait", portrait)
        monkeypatch.setattr(call, "LikenessMeter", lambda *_: None)
        monkeypatch.setattr(call, "CallPage", lambda *_: Page())
        monkeypatch.setattr(call, "Conversation", lambda *_: Conversation())
        monkeypatch.setattr(call, "Sampler", lambda *given: Sampler(given[4], at_sample))
        plan = SoakPlan(1.0, "mara", "nano", tmp_path, tmp_path)
        asyncio.run(soak(plan, MACHINE, OwnStack("http://nowhere", {}), lambda _: None))
        return read(tmp_path / SAMPLES)

    return make


def test_a_whole_call_is_complete(made: Callable[[At], Soak]) -> None:
    whole = made(lambda _: None)
    assert whole.end == "complete"
    assert len(whole.samples) in (ALL, ALL + 1)


def test_ctrl_c_ends_it_at_once(made: Callable[[At], Soak]) -> None:
    whole = made(lambda taken: os.kill(os.getpid(), signal.SIGINT) if taken == 2 else None)
    assert whole.end == "stopped early"
    assert len(whole.samples) == 2


def test_a_browser_that_ends_leaves_what_was_sampled(made: Callable[[At], Soak]) -> None:
    def crash(taken: int) -> None:
        if taken == 3:
            raise PlaywrightError("Target crashed")

    whole = made(crash)
    assert whole.end == "the browser ended: Target crashed"
    assert len(whole.samples) == 2


def test_a_page_that_hangs_leaves_what_was_sampled(made: Callable[[At], Soak]) -> None:
    def hang(taken: int) -> None:
        if taken == 2:
            raise TimeoutError

    whole = made(hang)
    assert "did not answer" in whole.end
    assert len(whole.samples) == 1
