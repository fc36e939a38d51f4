"""What waits for an engine that takes nothing: media gives way, commands do not."""

import asyncio

import numpy as np
import pytest

from proto.message import Message
from proto.messages import Grant, Interrupt, Listen, TurnBoundary, UserAudio, UserText
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import HEARING_BLOCK_SAMPLES
from services.room_agent.outbox import Outbox
from tests.unit.services.room_agent.fake_call import CALL

pytestmark = pytest.mark.unit


def audio(number: int = 0) -> UserAudio:
    pcm = np.zeros(HEARING_BLOCK_SAMPLES, np.int16)
    return UserAudio(session_id=CALL, pts_us=number * 20_000, pcm=pcm)


def listening() -> Listen:
    features = np.zeros((1, TOKEN_MEL_FRAMES, MEL_BINS), np.float16)
    return Listen(session_id=CALL, speaking=False, features=features)


def grant(credit: int) -> Grant:
    return Grant(session_id=CALL, credit=credit)


async def all_of(outbox: Outbox, count: int) -> list[Message]:
    return [await outbox.get() for _ in range(count)]


async def test_messages_leave_in_the_order_in_which_they_came() -> None:
    outbox = Outbox(4)
    put = [audio(0), grant(1), audio(1)]
    assert all(map(outbox.put, put))
    assert [one is other for one, other in zip(await all_of(outbox, 3), put, strict=True)]
    assert outbox.dropped == 0


async def test_media_that_does_not_fit_is_dropped() -> None:
    outbox = Outbox(2)
    for number in range(5):
        assert outbox.put(audio(number)), "nobody has to mind"
    kept = await all_of(outbox, 2)
    assert [message.pts_us for message in kept if isinstance(message, UserAudio)] == [0, 20_000]
    assert outbox.dropped == 3


@pytest.mark.parametrize("media", [audio(), listening()], ids=["audio", "features"])
@pytest.mark.parametrize(
    "command",
    [
        Interrupt(session_id=CALL, turn=1, heard_tokens=0, last_shown_chunk=-1),
        TurnBoundary(session_id=CALL, phase="ended", turn=1),
        UserText(session_id=CALL, text="Hello", turn=1),
        grant(2),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_a_command_takes_the_place_of_media(media: Message, command: Message) -> None:
    outbox = Outbox(3)
    for message in (grant(1), media, grant(1)):
        outbox.put(message)
    assert outbox.put(command)
    assert [type(message) for message in await all_of(outbox, 3)] == [Grant, Grant, type(command)]
    assert outbox.dropped == 1


async def test_a_command_among_nothing_but_commands_has_no_room() -> None:
    outbox = Outbox(2)
    assert outbox.put(grant(1))
    assert outbox.put(grant(2))
    assert not outbox.put(grant(3))
    assert outbox.put(audio()), "media is never missed"
    kept = await all_of(outbox, 2)
    assert [message.credit for message in kept if isinstance(message, Grant)] == [1, 2]


async def test_who_waits_for_a_message_gets_the_next_one() -> None:
    outbox = Outbox(2)
    outbox.put(audio())
    outbox.clear()
    waiting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(grant(7))
    message = await asyncio.wait_for(waiting, 1)
    assert isinstance(message, Grant)
    assert message.credit == 7
