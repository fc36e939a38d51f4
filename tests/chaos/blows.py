"""One blow to a call that is on: a process is killed, and what the caller sees is measured."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest
from livekit import rtc

from services.room_agent.engine_desk import ENGINE_AWAY
from services.room_agent.owed import CUT_OFF, UNHEARD
from tests.chaos.face import SAME_FACE, Likeness, likeness
from tests.conftest import Stack
from tests.integration.room_agent.caller import Caller, call, until

AVATAR = "mara"
QUESTION = "What is the capital of France?"
PATIENCE_S = 90.0
FRESH_S = 0.5
STRAGGLERS_S = 0.1
"""Frames that were on their way when the blow was felt prove nothing."""
SHOWN_S = 1.0
"""What an agent shows of itself is seen within this time: an apology that is withdrawn is gone."""


@dataclass(frozen=True)
class Blow:
    """Whom it hits, whether a question was asked just before, and how soon all must be well."""

    victim: str
    asked: bool = False
    goal_s: float | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.victim}, in mid-question" if self.asked else self.victim


BLOWS = (
    Blow("actor", goal_s=3.0),
    Blow("thinker"),
    Blow("thinker", asked=True),
    Blow("agent job", goal_s=5.0),
    Blow("agent job", asked=True, goal_s=5.0),
    Blow("agent worker", goal_s=5.0),
    Blow("gateway"),
    Blow("gateway and agent job"),
    Blow("livekit"),
    Blow("fork server"),
)
KEPT = ("id", "turn", "outcome", "voice_end_at")
"""What REST tells of a turn and must tell for ever."""


@dataclass(frozen=True)
class Outcome:
    """What a caller saw. `back_s`: until all was well; `frozen_s`: the longest standing picture."""

    blow: str
    back_s: float
    frozen_s: float
    answered: bool
    """The question asked before the blow was answered, or an apology shown (True without one)."""
    went_on: bool
    """The next question was answered, as the next turn of the same conversation."""
    likeness: float
    """Of the face with the portrait, before and after the blow: the lesser."""
    remembered: bool
    """REST tells of the turns of before, as it did then, and of the one after."""

    @property
    def same_face(self) -> bool:
        """Nobody else answers."""
        return self.likeness >= SAME_FACE


class Survivor:
    """A caller who asks, is hit, and asks again."""

    def __init__(
        self, stack: Stack, rest: httpx.AsyncClient, room: str, caller: Caller, face: Likeness
    ) -> None:
        self._stack = stack
        self._rest = rest
        self._room = room
        self._caller = caller
        self._face = face
        self._felt = 0.0

    async def suffer(self, blow: Blow) -> Outcome:
        """Deliver one blow. Fails the test when the call does not come back."""
        await self._ask_and_wait()
        turn = int(self._caller.record.turns[-1]["turn"])
        told = await self._told(turn)
        before = self._face.of(self._caller.record.picture)
        if blow.asked:
            read = await self._caller.type(QUESTION)
            turn += 1
        damaged = self._damage(blow.victim)
        struck = time.monotonic()
        for pid in [self._pid(victim) for victim in blow.victim.split(" and ")]:
            os.kill(pid, signal.SIGKILL)
        await until(f"{blow.name}: damage", damaged, PATIENCE_S)
        self._felt = time.monotonic()
        await until(f"{blow.name}: all well again", self._is_well, PATIENCE_S)
        back_s = time.monotonic() - struck
        frozen_s = self.longest_picture(struck, time.monotonic())
        if blow.asked:
            # The agent may have died before it read the question, which is then sent again.
            await until(f"{blow.name}: the question is read", read.is_set, PATIENCE_S)
            await asyncio.sleep(SHOWN_S)
        answered = not blow.asked or await self._hears_of(turn)
        last = int(self._caller.record.turns[-1]["turn"])
        following = await self._ask_and_wait()
        after = self._face.of(self._caller.record.picture)
        remembered = told.items() <= (await self._told(following)).items()
        return Outcome(
            blow=blow.name,
            back_s=back_s,
            frozen_s=frozen_s,
            answered=answered,
            went_on=following == last + 1,
            likeness=min(before, after),
            remembered=remembered,
        )

    async def is_answered(self) -> bool:
        """Ask one more question. Fails the test when no answer comes."""
        return bool(await self._ask_and_wait())

    def longest_picture(self, begin: float, end: float) -> float:
        """Seconds for which one picture stood, at most, between two moments."""
        shown = [at for at, _ in self._caller.record.frames if at > begin - FRESH_S]
        return max(b - a for a, b in pairwise([*shown, end]))

    async def _ask_and_wait(self) -> int:
        """The number of the turn that was answered whole."""
        before = len(self._caller.record.turns)
        await self._caller.type(QUESTION)
        await until("an answer", lambda: self._completed(before), PATIENCE_S)
        return int(self._caller.record.turns[-1]["turn"])

    def _completed(self, before: int) -> bool:
        turns = self._caller.record.turns[before:]
        return bool(turns) and turns[-1]["outcome"] == "completed"

    async def _hears_of(self, turn: int) -> bool:
        """The question is answered or apologised for."""

        def heard() -> bool:
            turns = self._caller.record.turns
            answered = any(t["turn"] == turn and t["outcome"] == "completed" for t in turns)
            return answered or self._caller.attribute("xs.error") in (CUT_OFF, UNHEARD)

        await until("an answer or an apology", heard, PATIENCE_S)
        return True

    async def _told(self, turn: int) -> dict[int, tuple[Any, ...]]:
        """What REST tells of each turn of the call, once it tells of this one."""
        told: dict[int, tuple[Any, ...]] = {}
        deadline = time.monotonic() + PATIENCE_S
        while turn not in told:
            if time.monotonic() > deadline:
                pytest.fail(f"REST does not tell of turn {turn}, only of {sorted(told)}")
            await asyncio.sleep(0.1)
            answer = await self._rest.get(f"/api/rooms/{self._room}/turns")
            rows = answer.raise_for_status().json()
            told = {row["turn"]: tuple(row[key] for key in KEPT) for row in rows}
        return told

    def _damage(self, victim: str) -> Callable[[], object]:
        """Whether the blow is felt."""
        avatars = set(self._caller.room.remote_participants)
        if victim in ENGINE_AWAY:
            return lambda: self._caller.attribute("xs.error") == ENGINE_AWAY[victim]
        if "agent" in victim or victim == "fork server":
            return lambda: set(self._caller.room.remote_participants) - avatars
        if victim == "livekit":
            return lambda: not self._connected()
        restarts = self._restarts(victim)
        return lambda: self._restarts(victim) > restarts and self._stack.is_ready()

    def _restarts(self, process: str) -> int:
        return int(self._stack.state()["processes"][process]["restarts"])

    def _is_well(self) -> bool:
        """One avatar, who moves and complains of nothing but what it apologises for."""
        room = self._caller.room
        if not self._connected() or len(room.remote_participants) != 1:
            return False
        complaint = self._caller.attribute("xs.error")
        state = self._caller.attribute("lk.agent.state")
        shown, _ = self._caller.record.frames[-1]
        return (
            complaint not in ENGINE_AWAY.values()
            and state in ("listening", "thinking", "speaking")
            and shown > self._felt + STRAGGLERS_S
            and time.monotonic() - shown < FRESH_S
        )

    def _connected(self) -> bool:
        return self._caller.room.connection_state == rtc.ConnectionState.CONN_CONNECTED

    def _pid(self, victim: str) -> int:
        if victim == "agent job":
            pids = re.findall(rf"call={self._room} pid=(\d+)", self._stack.log("agent"))
            return int(pids[-1])
        state = self._stack.state()
        if victim == "fork server":
            return int(state["fork_server_pid"])
        process = state["processes"][victim.removesuffix(" worker")]
        return int(process["pid"])


@asynccontextmanager
async def survivor(stack: Stack) -> AsyncIterator[Survivor]:
    """A call through the gateway; hung up at the end."""
    async with httpx.AsyncClient(
        base_url=stack.gateway_url, trust_env=False, timeout=PATIENCE_S
    ) as rest:
        answer = await rest.post("/api/rooms", json={"avatar_id": AVATAR})
        created = answer.raise_for_status().json()
        async with call(created["livekit_url"], created["token"]) as caller:
            await until("a face", lambda: caller.record.frames, PATIENCE_S)
            face = await likeness(rest, AVATAR)
            yield Survivor(stack, rest, created["room"], caller, face)
        await rest.delete(f"/api/rooms/{created['room']}")


async def strike(stack: Stack, blow: Blow) -> Outcome:
    """One call, one blow."""
    async with survivor(stack) as caller:
        outcome = await caller.suffer(blow)
    await asyncio.sleep(0.5)
    return outcome
