"""One sample: the processes, what the browser got, the face, the turns."""

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from actor_server.evaluation.identity import FaceUnseen
from services.callbench.call_page import CallPage
from services.callbench.caller import Caller
from services.callbench.gateway_client import traces
from services.callbench.own_stack import OwnStack
from services.callbench.recording import CallRecording
from services.soak.conversation import Conversation
from services.soak.likeness import LikenessMeter
from services.soak.processes import StolenTime, process_uses
from services.soak.reception import ReceptionMeter
from services.soak.samples import Likeness, Sample
from services.supervisor.directories import read_state

FACE_EVERY = 2
NEWEST_TURNS = 20
LOST = ("connection_disconnected", "connection_failed", "connection_closed")
COUNTED = {
    "xstreamer_gateway_redispatches_total": "agent asked for again",
    "xstreamer_call_failures_total": "failure told",
}
"""What the gateway counts, and how it is called here."""


class Sampler:
    """Takes samples of one call."""

    def __init__(
        self,
        stack: OwnStack,
        gateway: httpx.AsyncClient,
        caller: Caller,
        page: CallPage,
        conversation: Conversation,
        likeness: LikenessMeter,
    ) -> None:
        self._stack, self._gateway, self._caller, self._page = stack, gateway, caller, page
        self._conversation, self._likeness = conversation, likeness
        self._reception = ReceptionMeter()
        self._stolen = StolenTime()
        self._incidents: Counter[str] = Counter()
        self._known_turns: set[int] = set()
        self._taken = 0

    async def take(self, at_s: float) -> Sample:
        """Look at everything now."""
        began_s = time.process_time()
        recording = await self._caller.take()
        reception = self._reception.read(recording)
        with_face = self._taken % FACE_EVERY == 0
        self._taken += 1
        likeness = await self._look(f"{at_s:06.0f}") if with_face else None
        state = read_state(Path(self._stack.environment["XSTREAMER_DATA"]))
        turns = await self._new_turns()
        voice_to_face = [turn["voice_to_face_ms"] for turn in turns]
        unanswered, self._conversation.unanswered = self._conversation.unanswered, []
        return Sample(
            at_s=round(at_s, 1),
            processes=process_uses(state),
            reception=reception,
            likeness=likeness,
            asked=self._conversation.asked,
            barge_ins=self._conversation.barge_ins,
            unanswered=unanswered,
            voice_to_face_ms=[value for value in voice_to_face if value is not None],
            outcomes=Counter(turn["outcome"] for turn in turns),
            restarts=sum(process["restarts"] for process in state["processes"].values()),
            incidents=await self._count_incidents(recording),
            cost_s=round(time.process_time() - began_s, 3),
            stolen=self._stolen.share(),
        )

    async def _look(self, name: str) -> Likeness | None:
        try:
            return self._likeness.look(await self._caller.snapshot(), name)
        except FaceUnseen:
            self._incidents["no face found"] += 1
            return None

    async def _new_turns(self) -> list[dict[str, object]]:
        with suppress(httpx.HTTPError):
            told = await traces(self._gateway, self._page.room, NEWEST_TURNS)
            new = [turn for turn in told if turn["id"] not in self._known_turns]
            self._known_turns |= {turn["id"] for turn in new}
            return new
        return []

    async def _count_incidents(self, recording: CallRecording) -> dict[str, int]:
        """What should not happen in a call, from the page and from the gateway."""
        lost = [mark for mark in recording.marks if mark.name in LOST]
        self._incidents["connection lost"] += len(lost)
        self._incidents["script error"] = len(self._caller.complaints)
        return {**self._incidents, **await self._gateway_counts()}

    async def _gateway_counts(self) -> dict[str, int]:
        counts = dict.fromkeys(COUNTED.values(), 0)
        with suppress(httpx.HTTPError):
            answer = (await self._gateway.get("/metrics")).raise_for_status()
            for family in text_string_to_metric_families(answer.text):
                for row in family.samples:
                    if row.name in COUNTED:
                        counts[COUNTED[row.name]] += round(row.value)
        return counts
