"""A whole call of preset tiny-18b: GLM's classes think, LTX's draw, all of them tiny and random."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from proto.messages import EngineStatus, Ping
from proto.time_law import AUDIO_TOKEN_US, FRAME_US
from proto.wire.sockets import request
from services.callbench.questions import clip
from tests.conftest import Stack
from tests.integration.room_agent.caller import Caller, until
from tests.integration.tiny_calls import (
    ANSWER_WITHIN_S,
    STILL_S,
    called,
    heard_out,
    noise_moments,
    tiny_machine,
    until_freed,
)

pytestmark = [pytest.mark.integration, pytest.mark.realtime]

ASKED_AT_MOST: Final = 3
"""A face of this kind stands still to save work, where a machine is too slow for it at times."""
CLIMBS_WITHIN_S: Final = 60.0
SHOWN: Final = 0.6
"""Share of the frames of a time that a busy receiver still takes, all of them flickering."""


@pytest.fixture(scope="module")
def machine(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with tiny_machine(tmp_path_factory.mktemp("tiny-18b"), "tiny-18b") as running:
        yield running


async def actor_status(machine: Stack) -> EngineStatus:
    status = await request(machine.state()["actor_endpoint"], Ping(session_id="test"), 10)
    assert isinstance(status, EngineStatus)
    return status


async def asked_until_drawn(machine: Stack, caller: Caller) -> float:
    """Ask until the Actor need not save work while it answers; the moment at which it was asked."""
    for _ in range(ASKED_AT_MOST):
        async with asyncio.timeout(CLIMBS_WITHIN_S):
            while (await actor_status(machine)).degradation_step:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.5)
        asked_s, turns = time.monotonic(), len(caller.record.turns)
        await caller.say(clip("france").wav)
        await heard_out(caller, turns + 1)
        if not (await actor_status(machine)).degradation_step:
            return asked_s
    pytest.fail(f"the face stood still in each of {ASKED_AT_MOST} answers")


async def test_thinker_and_actor_of_the_papers_kind_hold_a_call(machine: Stack) -> None:
    status = await actor_status(machine)
    assert status.labels["face"] == "ltx"
    assert status.labels["motion"] == "diffusion"
    async with called(machine) as caller:
        record = caller.record
        assert caller.attribute("xs.brain") == "GLM-4-Voice"
        await asyncio.sleep(STILL_S)
        assert not noise_moments(record), "the avatar spoke before it was asked"
        asked = await asked_until_drawn(machine, caller)
        turn = record.turns[-1]
        assert turn["outcome"] == "completed"
        noise = noise_moments(record, asked)
        counted_s = turn["heard_tokens"] * AUDIO_TOKEN_US / 1e6
        assert len(noise) * 0.01 == pytest.approx(counted_s, rel=0.2)
        shown = [change for at, change in record.mouth if noise[0] <= at < noise[-1]]
        assert len(shown) > SHOWN * (noise[-1] - noise[0]) * 1e6 / FRAME_US
        assert np.median(shown) > 1  # what is drawn is noise, and none of it stands still
        answered = len(record.turns)
        assert record.captions[f"reply-{answered}"].text.strip()
        assert record.captions[f"user-{answered}"].text
        # An answer that is cut into ends, and the next one comes.
        await caller.room.local_participant.send_text("Tell me more.", topic="lk.chat")
        before = len(noise_moments(record))
        await until("noise", lambda: len(noise_moments(record)) > before + 50, ANSWER_WITHIN_S)
        await caller.say(clip("story").wav)
        await until("the cut", lambda: len(record.turns) > answered, ANSWER_WITHIN_S)
        cut = record.turns[answered]
        assert (cut["typed"], cut["outcome"]) == (True, "interrupted")
        await heard_out(caller, answered + 2)
        assert record.turns[answered + 1]["outcome"] == "completed"
        assert not caller.attribute("xs.error")
    await until_freed(machine)
    assert {process["restarts"] for process in machine.state()["processes"].values()} == {0}
