"""The decoder's thread in front of the rendering thread: what passes, what waits, what fails."""

import threading

import pytest

from actor_server.callers import Caller
from actor_server.render_thread import Close, Deliver, Open
from actor_server.speech.engine import SpeechEngine
from actor_server.speech_thread import SpeechThread, inlet
from proto.message import Message
from proto.messages import Failure, Grant, HiddenChunk, Interrupt
from proto.time_law import CHUNK_AUDIO_TOKENS
from tests.unit.actor_server.speech.spelling import SpellingDecoder, coded, coded_parts

pytestmark = pytest.mark.unit

THINKER = b"thinker"
PATIENCE_S = 10.0


class Behind:
    """Takes what the decoder's thread passes on, in place of the rendering thread."""

    def __init__(self) -> None:
        self.taken: list[Open | Deliver | Close] = []
        self.alive = False
        self._more = threading.Condition()

    def start(self) -> None:
        self.alive = True

    def stop(self) -> None:
        self.alive = False

    def post(self, item: Open | Deliver | Close) -> bool:
        with self._more:
            self.taken.append(item)
            self._more.notify_all()
        return True

    def parts(self) -> list[HiddenChunk]:
        found = [item.message for item in self.taken if isinstance(item, Deliver)]
        return [message for message in found if isinstance(message, HiddenChunk)]

    def await_end(self) -> list[HiddenChunk]:
        """The parts of a reply, once its last one is there."""
        with self._more:
            ended = self._more.wait_for(
                lambda: any(part.final for part in self.parts()), PATIENCE_S
            )
        assert ended
        return self.parts()


class Desk:
    """A running SpeechThread and what it says and passes on."""

    def __init__(self) -> None:
        self.behind = Behind()
        self.said: list[tuple[Message, Caller | bytes]] = []
        engine = SpeechEngine(SpellingDecoder())
        self.thread = SpeechThread(engine, self.behind, self._emit)  # type: ignore[arg-type]

    def _emit(self, message: Message, whom: Caller | bytes) -> None:
        self.said.append((message, whom))

    def deliver(self, message: Message) -> None:
        assert self.thread.post(Deliver(message, THINKER))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_reply_is_decoded_and_goes_on_with_its_sender(desk: Desk) -> None:
    desk.thread.start()
    for part in coded_parts([200] * 50, [4, 9, 20]):
        desk.deliver(part)
    parts = desk.behind.await_end()
    desk.thread.stop()
    assert sum(part.audio_tokens for part in parts) == 50
    assert all(part.pcm is not None and part.audio_ids is None for part in parts)
    (traced,) = (part for part in parts if part.stamps)
    assert [stamp.name for stamp in traced.stamps] == ["actor_speech_decoded"]
    assert traced.first_token < CHUNK_AUDIO_TOKENS <= traced.first_token + traced.audio_tokens
    assert {i.sender for i in desk.behind.taken if isinstance(i, Deliver)} == {THINKER}
    assert not desk.said


def test_what_is_no_speech_goes_on_at_once(desk: Desk) -> None:
    grant = Grant(session_id="s", credit=1)
    halt = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
    desk.deliver(grant)
    desk.deliver(halt)
    assert desk.thread.post(Close("s"))
    kinds = [i.message if isinstance(i, Deliver) else i for i in desk.behind.taken]
    assert kinds == [grant, halt, Close("s")]


def test_an_interrupt_reaches_the_decoder_before_what_it_has_not_begun(desk: Desk) -> None:
    desk.deliver(coded([200] * 60, epoch=1, final=True))
    halt = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
    desk.deliver(halt)
    desk.deliver(coded([300] * 20, epoch=2, turn=2, final=True))
    desk.thread.start()
    parts = desk.behind.await_end()
    desk.thread.stop()
    assert {part.epoch for part in parts} == {2}


def test_refused_speech_is_told_to_who_sent_it(desk: Desk) -> None:
    desk.thread.start()
    desk.deliver(coded([1], first_token=7))
    desk.deliver(coded([200] * 20, epoch=2, final=True))
    desk.behind.await_end()
    desk.thread.stop()
    ((failure, whom),) = desk.said
    assert isinstance(failure, Failure)
    assert (failure.code, whom) == ("speech_refused", THINKER)


def test_a_reply_that_cannot_be_decoded_ends_and_the_next_one_is_spoken(desk: Desk) -> None:
    desk.thread.start()
    desk.deliver(coded([200] * 10 + [13] * 20, final=True))
    parts = desk.behind.await_end()
    assert 0 < sum(part.audio_tokens for part in parts) < 10
    assert parts[-1].final
    desk.behind.taken.clear()
    desk.deliver(coded([200] * 20, epoch=2, turn=2, final=True))
    assert sum(part.audio_tokens for part in desk.behind.await_end()) == 20
    desk.thread.stop()
    assert [type(message) for message, _ in desk.said] == [Failure]


def test_both_threads_start_and_stop_together(desk: Desk) -> None:
    assert not desk.thread.alive
    desk.thread.start()
    assert desk.thread.alive
    assert desk.behind.alive
    desk.thread.stop()
    assert not desk.thread.alive
    assert not desk.behind.alive


def test_without_a_decoder_nothing_stands_before_the_rendering_thread(desk: Desk) -> None:
    found: object = inlet(None, desk.behind, desk._emit)  # type: ignore[arg-type]
    assert found is desk.behind
