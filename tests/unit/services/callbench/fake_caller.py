"""A caller without a browser: what it says is noted, whether it is answered a test decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.callbench.caller import CallerTimeout
from services.callbench.recording import CallRecording, Spoken
from tests.unit.services.callbench.scene import call

VOICE_S = 1.0
ANSWER_S = 2.0


class FakeCaller:
    """Every question takes a second; `deaf_to` are those that nobody answers."""

    def __init__(self, deaf_to: frozenset[str] = frozenset()) -> None:
        self.deaf_to = deaf_to
        self.said: list[tuple[str, float]] = []
        self.waited_s: list[float] = []
        self.listened_s = 0.0

    async def say(self, question_id: str, pause_s: float = 0.0) -> Spoken:
        now = asyncio.get_running_loop().time()
        self.said.append((question_id, pause_s))
        return Spoken(question_id, now, now + VOICE_S)

    async def wait_for_voice(self, after_s: float, timeout_s: float) -> float:
        self.waited_s.append(timeout_s)
        if self.said[-1][0] in self.deaf_to:
            await asyncio.sleep(timeout_s)
            raise CallerTimeout("no agent's voice")
        await asyncio.sleep(VOICE_S + 0.5)
        return after_s + 0.5

    async def listen(self, seconds: float) -> None:
        self.listened_s += seconds

    async def snapshot(self) -> bytes:
        return f"picture after {len(self.said)}".encode()

    async def recording(self) -> CallRecording:
        at_s = [3.0 * turn for turn in range(len(self.said))]
        spoken = tuple(
            Spoken(question, at, at + 1.0)
            for (question, _), at in zip(self.said, at_s, strict=True)
        )
        return call([], seconds=1.0, spoken=spoken)


class FakePage:
    """The page of a FakeCaller; an answer takes two seconds."""

    def __init__(self, caller: Any = None, url: str = "") -> None:
        self.room = "room-1"
        self.called: list[str] = []
        self.ended = 0
        self.heard_out = 0
        self.endless = False

    async def call(self, avatar: str) -> None:
        self.called.append(avatar)

    async def hear_out(self, quiet_s: float) -> None:
        await asyncio.sleep(ANSWER_S + quiet_s)
        if self.endless:
            raise CallerTimeout("no agent's silence")
        self.heard_out += 1

    async def captions(self) -> list[str]:
        return ["You: Hello."]

    async def brain(self) -> str:
        return "parrot"

    async def end(self) -> None:
        self.ended += 1


class Browsers:
    """Opens FakeCallers instead of Chromium; keeps them and their pages."""

    def __init__(self, deaf_to: frozenset[str] = frozenset()) -> None:
        self._deaf_to = deaf_to
        self.callers: list[FakeCaller] = []
        self.pages: list[FakePage] = []

    @asynccontextmanager
    async def open_caller(self, config: Any, **_: Any) -> AsyncIterator[FakeCaller]:
        self.callers.append(FakeCaller(self._deaf_to))
        yield self.callers[-1]

    def page(self, caller: Any, url: str) -> FakePage:
        self.pages.append(FakePage(caller, url))
        return self.pages[-1]


async def no_traces(*_: Any) -> list[dict[str, Any]]:
    return [{"sent_fps": None}, {"sent_fps": 24.5}, {"sent_fps": None}]
