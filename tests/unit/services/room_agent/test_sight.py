"""The agent lets the Thinker look with a question, when the camera is on; and says so."""

import numpy as np
import pytest

from proto.messages import TurnBoundary, UserFrame, UserText
from services.room_agent.sight import LOOKS
from tests.unit.services.room_agent.fake_call import Call, call
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit

PHOTO = np.frombuffer(b"a jpeg", np.uint8)


def frames(connected: Call) -> int:
    return len(connected.engines.thinker.of(UserFrame))


@virtually
async def test_one_picture_goes_before_the_pause_of_a_spoken_question_and_the_page_is_told() -> (
    None
):
    async with call() as connected:
        connected.engines.thinker.tell_ready(eyes="a model")
        connected.room.photo = PHOTO
        await connected.listen(0.2)
        assert connected.room.attributes["xs.eyes"] == "a model"
        await connected.say(1.0)
        assert not frames(connected), "nobody looks while the caller talks"
        await connected.until(lambda: "speaking" in connected.room.states)
        assert connected.room.attributes[LOOKS]
        said = connected.engines.thinker.said
        kinds = [
            m.phase if isinstance(m, TurnBoundary) else "frame"
            for m in said
            if isinstance(m, TurnBoundary | UserFrame)
        ]
        assert kinds == ["started", "frame", "paused", "ended"]
        await connected.until(lambda: connected.room.states[-1] == "listening")
        await connected.listen(0.1)
        assert connected.room.attributes[LOOKS] == ""


@virtually
async def test_a_typed_question_is_looked_at_too() -> None:
    async with call() as connected:
        connected.engines.thinker.tell_ready(eyes="a model")
        connected.room.photo = PHOTO
        connected.agent.read("What is this?")
        said = connected.engines.thinker.said
        assert [type(m) for m in said if isinstance(m, UserFrame | UserText)] == [
            UserFrame,
            UserText,
        ]


async def looks_of(eyes: str, photo: np.ndarray | None) -> int:
    async with call() as connected:
        connected.engines.thinker.tell_ready(eyes=eyes)
        connected.room.photo = photo
        await connected.say(1.0)
        await connected.until(lambda: "speaking" in connected.room.states)
        assert not connected.room.attributes.get(LOOKS)
        return frames(connected)


@virtually
async def test_nobody_looks_for_a_thinker_without_eyes() -> None:
    assert await looks_of("", PHOTO) == 0


@virtually
async def test_nobody_looks_while_the_camera_is_off() -> None:
    assert await looks_of("a model", None) == 0
