"""Captions leave in order, one stream for each reply, and never block the call."""

import asyncio

import pytest

from services.room_agent.captions import QUEUE_ITEMS, Captioner
from tests.unit.services.room_agent.fake_call import FakeCaption, FakeRoom

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


async def test_who_comes_back_in_mid_answer_gets_the_missed_words_and_the_rest() -> None:
    room = FakeRoom(0.1)
    captioner = Captioner(room)
    captioner.show_user_words(4, "hello", True)
    captioner.show_reply_words(4, "Hello ")
    await shown(captioner)
    room.captions.clear()  # as on a page that has joined anew
    captioner.show_again()
    captioner.show_reply_words(4, "you.")
    captioner.end_reply_words(4)
    await shown(captioner)
    assert (room.captions["user-4"].text, room.captions["user-4"].final) == ("hello", True)
    assert (room.captions["reply-4"].text, room.captions["reply-4"].final) == ("Hello you.", True)


async def test_who_comes_back_after_an_answer_gets_it_whole_and_final() -> None:
    room = FakeRoom(0.1)
    captioner = Captioner(room)
    captioner.show_reply_words(4, "Hello you.")
    captioner.end_reply_words(4)
    await shown(captioner)
    room.captions.clear()
    captioner.show_again()
    await shown(captioner)
    assert (room.captions["reply-4"].text, room.captions["reply-4"].final) == ("Hello you.", True)


async def test_nothing_is_shown_again_before_anything_was_said() -> None:
    room = FakeRoom(0.1)
    captioner = Captioner(room)
    captioner.show_again()
    await shown(captioner)
    assert not room.captions


async def test_words_that_the_room_did_not_take_come_with_the_next_ones() -> None:
    class Refusing(FakeRoom):
        refuses = True

        async def open_caption(self, segment_id: str) -> FakeCaption:
            if self.refuses:
                raise ConnectionError("no connection")
            return await super().open_caption(segment_id)

    room = Refusing(0.1)
    captioner = Captioner(room)
    captioner.show_reply_words(4, "Hello ")
    await shown(captioner)
    room.refuses = False
    captioner.show_reply_words(4, "you.")
    captioner.end_reply_words(4)
    await shown(captioner)
    assert (room.captions["reply-4"].text, room.captions["reply-4"].final) == ("Hello you.", True)


async def test_last_words_that_the_room_did_not_take_come_with_the_end() -> None:
    class Broken(FakeCaption):
        async def write(self, text: str) -> None:
            raise ConnectionError("no connection")

    room = FakeRoom(0.1)
    captioner = Captioner(room)
    captioner.show_reply_words(4, "Hello ")
    await shown(captioner)
    captioner._open[4] = Broken()
    captioner.show_reply_words(4, "you.")
    captioner.end_reply_words(4)
    await shown(captioner)
    assert (room.captions["reply-4"].text, room.captions["reply-4"].final) == ("Hello you.", True)
