"""Captions leave in order, one stream for each reply, and never block the call."""

import asyncio

import pytest

from services.room_agent.captions import QUEUE_ITEMS, Captioner
from tests.unit.services.room_agent.fake_call import FakeRoom

pytestmark = pytest.mark.unit


async def shown(captioner: Captioner) -> None:
    task = asyncio.create_task(captioner.run())
    await asyncio.sleep(0.01)
    task.cancel()


async def test_a_reply_grows_in_one_segment_and_is_closed() -> None:
    room = FakeRoom(0.1)
    captioner = Captioner(room)
    for word in ("Hello ", "you."):
        captioner.show_reply_words(4, word)
    captioner.end_reply_words(4)
    await shown(captioner)
    caption = room.captions["reply-4"]
    assert (caption.text, caption.final) == ("Hello you.", True)


async def test_the_callers_words_replace_each_other() -> None:
    room = FakeRoom(0.1)
    captioner = Captioner(room)
    captioner.show_user_words(2, "what tie", False)
    captioner.show_user_words(2, "what time", True)
    await shown(captioner)
    assert list(room.captions) == ["user-2"]
    assert room.captions["user-2"].text == "what time"
    assert room.captions["user-2"].final


async def test_a_room_that_takes_no_captions_does_not_stop_the_call() -> None:
    captioner = Captioner(FakeRoom(0.1))
    for index in range(QUEUE_ITEMS + 50):
        captioner.show_reply_words(1, f"{index} ")
    captioner.end_reply_words(1)
