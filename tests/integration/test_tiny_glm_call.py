"""A whole call of preset tiny-glm: what it says is noise, everything else is the real thing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from proto.time_law import AUDIO_TOKEN_US
from services.callbench.questions import clip
from tests.conftest import Stack
from tests.integration.room_agent.caller import Record, until
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

PICTURE_AGAINST_SOUND_S: Final = 0.5
"""Both leave on one clock; a busy receiver's buffers and the mouth's first move are left."""
SEARCH_S: Final = 1.5


@pytest.fixture(scope="module")
def machine(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with tiny_machine(tmp_path_factory.mktemp("tiny-glm"), "tiny-glm") as running:
        yield running


def mouth_between(record: Record, first: float, last: float) -> list[float]:
    """How much the mouth changed in each frame of a time."""
    return [change for at, change in record.mouth if first <= at < last]


def mouth_began(record: Record, around: float) -> float:
    """Where, near a moment, a livelier second of the mouth follows most clearly on a calmer one."""

    def livelier(at: float) -> float:
        after, before = mouth_between(record, at, at + 1.0), mouth_between(record, at - 1.0, at)
        return float(np.mean(after) - np.mean(before))

    moments = around + np.arange(-SEARCH_S, SEARCH_S, 0.04)
    return float(moments[np.argmax([livelier(at) for at in moments])])


async def test_a_spoken_question_is_answered_by_a_voice_a_mouth_and_captions(
    machine: Stack,
) -> None:
    async with called(machine) as caller:
        record = caller.record
        assert caller.attribute("xs.brain") == "GLM-4-Voice"
        await asyncio.sleep(STILL_S)  # the video's first second settles
        quiet_from = record.frames[-1][0]
        await asyncio.sleep(STILL_S)
        asked = await caller.say(clip("france").wav)
        assert not noise_moments(record), "the avatar spoke before it was asked"
        await heard_out(caller, turns=1)
        (turn,) = record.turns
        assert turn["outcome"] == "completed"
        noise = noise_moments(record)
        # Every token that the agent counts as heard was heard.
        counted_s = turn["heard_tokens"] * AUDIO_TOKEN_US / 1e6
        assert len(noise) * 0.01 == pytest.approx(counted_s, rel=0.2)
        speaking = mouth_between(record, noise[0], noise[-1])
        resting = mouth_between(record, quiet_from, asked)
        assert np.median(speaking) > 1.3 * np.median(resting)
        began = mouth_began(record, around=noise[0])
        assert began == pytest.approx(noise[0], abs=PICTURE_AGAINST_SOUND_S)
        assert record.captions["reply-1"].text.strip()
        assert record.captions["reply-1"].final
        assert record.captions["user-1"].text
        stages = {stage["name"] for stage in turn["stages"]}
        assert {"first_token", "speech_decode", "window", "decode", "playout"} <= stages
    await until_freed(machine)


async def test_an_interruption_stops_the_reply_and_is_answered(machine: Stack) -> None:
    async with called(machine) as caller:
        record = caller.record
        await caller.room.local_participant.send_text("Tell me more.", topic="lk.chat")
        await until("noise", lambda: len(noise_moments(record)) > 50, ANSWER_WITHIN_S)
        speaking = asyncio.create_task(caller.say(clip("story").wav))
        await until("the cut", lambda: record.turns, ANSWER_WITHIN_S)
        cut = record.turns[0]
        assert (cut["turn"], cut["typed"], cut["outcome"]) == (1, True, "interrupted")
        assert cut["heard_tokens"] > 0
        said = await speaking
        # The clip is longer than what was left of the reply's sound may be.
        assert not [at for at in noise_moments(record) if said - 1.0 < at < said]
        await heard_out(caller, turns=2)
        answer = record.turns[1]
        assert (answer["typed"], answer["outcome"]) == (False, "completed")
        assert answer["heard_tokens"] > 0
        assert noise_moments(record, after=said)
        assert not caller.attribute("xs.error")
    await until_freed(machine)
    assert {process["restarts"] for process in machine.state()["processes"].values()} == {0}
