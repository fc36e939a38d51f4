"""Tokens of an answer become messages in order, and the session remembers what was heard."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from proto.message import Message
from proto.messages import (
    Failure,
    HiddenChunk,
    Interrupt,
    OpenThinkerSession,
    TextDelta,
    Transcript,
    TurnBoundary,
    TurnEnd,
    TurnState,
    UserAudio,
    UserText,
)
from tests.unit.thinker_server.glm4voice.fixtures import (
    byte_tokenizer,
    tiny_language_model,
    tiny_speech_encoder,
)
from thinker_server.glm4voice.decoder import GlmDecoder
from thinker_server.glm4voice.dialogue import GlmDialogue, GlmExchange
from thinker_server.glm4voice.generation import Emitted, Generation
from thinker_server.glm4voice.hearing import SpeechEars
from thinker_server.glm4voice.mind import GlmMind
from thinker_server.glm4voice.reply import GlmReply
from thinker_server.glm4voice.sampler import Sampling
from thinker_server.glm4voice.token_thread import TokenThread
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Outlet
from thinker_server.session import ThinkerSession
from thinker_server.trace import Trace
from thinker_server.workers import Workers

pytestmark = pytest.mark.unit

TOKENIZER = byte_tokenizer()
ENCODER = tiny_speech_encoder()
MODEL = tiny_language_model()
FIRST_CODE = TOKENIZER.first_code
STATE = np.zeros(4, np.float16)


async def emitted(ids: list[int]) -> AsyncGenerator[Emitted, None]:
    for index, token_id in enumerate(ids):
        await asyncio.sleep(0)
        yield Emitted(0, token_id, STATE, last=index == len(ids) - 1)


async def said(ids: list[int], exchange: GlmExchange) -> list[tuple[str, Message]]:
    """What leaves for an answer made of these tokens."""
    sent: list[tuple[str, Message]] = []

    async def send(destination: str, message: Message) -> None:
        sent.append((destination, message))

    outlet = Outlet(send)
    await outlet.release(epoch=5, turn=3)
    await GlmReply("s", TOKENIZER, exchange, outlet, Trace(), True).run(emitted(ids))
    return sent


async def test_words_follow_the_part_that_begins_to_sound_with_them() -> None:
    text = list("Héllo, wörld".encode())
    exchange = GlmExchange(3)
    sent = await said([*text, *(FIRST_CODE + i for i in range(30)), TOKENIZER.user], exchange)
    kinds = [type(message).__name__ for _, message in sent]
    assert kinds[:3] == ["TurnState", "HiddenChunk", "TextDelta"]
    deltas = [m for _, m in sent if isinstance(m, TextDelta)]
    assert "".join(delta.text for delta in deltas) == "Héllo, wörld"
    assert [delta.first_token for delta in deltas][:3] == [0, 4, 6], "é has two bytes"
    assert max(delta.first_token for delta in deltas) < 26
    chunks = [m for to, m in sent if isinstance(m, HiddenChunk) and to == "actor"]
    assert sum(chunk.audio_tokens for chunk in chunks) == exchange.audio_tokens == 30
    assert {(chunk.turn, chunk.epoch) for chunk in chunks} == {(3, 5)}
    assert chunks[0].stamps


async def test_a_stop_token_is_neither_heard_nor_remembered() -> None:
    exchange = GlmExchange(1)
    await said([72, FIRST_CODE, TOKENIZER.user], exchange)
    assert exchange.answer == [72, FIRST_CODE]


async def test_marks_in_an_answer_are_kept_for_the_model_alone() -> None:
    exchange = GlmExchange(1)
    sent = await said([72, TOKENIZER.end_of_audio, FIRST_CODE, TOKENIZER.user], exchange)
    assert exchange.answer == [72, TOKENIZER.end_of_audio, FIRST_CODE]
    assert [m.text for _, m in sent if isinstance(m, TextDelta)] == ["H"]


class Talk:
    """What a session sent."""

    def __init__(self) -> None:
        self.agent: list[Message] = []
        self.actor: list[HiddenChunk] = []

    async def send(self, destination: str, message: Message) -> None:
        if isinstance(message, HiddenChunk):
            self.actor.append(message)
        else:
            self.agent.append(message)

    async def until(self, kind: type[Message], count: int = 1) -> Message:
        async with asyncio.timeout(20):
            while len(found := [m for m in self.agent if isinstance(m, kind)]) < count:
                await asyncio.sleep(0.002)
        return found[count - 1]


class FoldedGeneration(Generation):
    """Ids of the tiny model, folded so that each third token is a letter, the others codes."""

    def step(self) -> list[Emitted]:
        return [self._folded(one) for one in super().step()]

    def _folded(self, one: Emitted) -> Emitted:
        letter = one.token_id % 3 == 0
        token_id = 97 + one.token_id % 26 if letter else FIRST_CODE + one.token_id
        return Emitted(one.slot, token_id, one.state, one.last)

    def begin(self, number: int, ids: list[int], tokens: int, seed: int) -> int:  # type: ignore[override]
        return super().begin(number, [i % 320 for i in ids], tokens, seed)


@asynccontextmanager
async def talking(
    max_reply_tokens: int = 60,
) -> AsyncIterator[tuple[Talk, ThinkerSession[GlmExchange]]]:
    decoder = GlmDecoder(MODEL, Sampling(1.0, 1.0, 320), slots=2, context_tokens=2000)
    thread = TokenThread(FoldedGeneration(decoder, frozenset()))
    talk, workers = Talk(), Workers()
    mind = GlmMind(
        tokens=thread,
        slot=await thread.open(),
        tokenizer=TOKENIZER,
        dialogue=GlmDialogue(TOKENIZER, "", (), 1000),
        recogniser=SpeechEars(ENCODER, None),
        workers=workers,
        metrics=ThinkerMetrics(),
        max_reply_tokens=max_reply_tokens,
        with_states=True,
    )
    opened = OpenThinkerSession(
        session_id="s", name="Ann", voice="any", language="zh", actor_endpoint="inproc://actor"
    )
    session = ThinkerSession(opened, mind, talk.send)
    running = asyncio.create_task(session.run())
    try:
        yield talk, session
    finally:
        session.close()
        async with asyncio.timeout(10):
            await running
        workers.close()
        thread.close()


def speak(session: ThinkerSession[GlmExchange], turn: int) -> None:
    boundary = {"session_id": "s", "turn": turn, "epoch": turn - 1}
    session.receive(TurnBoundary.model_validate({**boundary, "phase": "started"}))
    for block in range(20):
        pcm = np.full(320, 100 * block, np.int16)
        session.receive(UserAudio(session_id="s", pts_us=block * 20_000, pcm=pcm))


async def test_a_spoken_turn_is_answered_in_codes_and_words() -> None:
    async with talking() as (talk, session):
        speak(session, 1)
        session.receive(TurnBoundary(session_id="s", turn=1, epoch=1, phase="ended"))
        end = await talk.until(TurnEnd)
    assert isinstance(end, TurnEnd)
    assert end.reason == "completed"
    assert sum(chunk.audio_tokens for chunk in talk.actor) == end.audio_tokens > 20
    assert [m.text for m in talk.agent if isinstance(m, Transcript)] == [""]
    assert len("".join(m.text for m in talk.agent if isinstance(m, TextDelta))) > 5
    states = [chunk.audio_states for chunk in talk.actor]
    assert all(array is not None and array.shape[1] == 64 for array in states)
    speaking = [m.state for m in talk.agent if isinstance(m, TurnState)]
    assert speaking == ["transcribing", "thinking", "speaking"]


async def test_what_is_typed_while_speaking_is_asked_with_the_speech() -> None:
    async with talking() as (talk, session):
        speak(session, 1)
        await talk.until(TurnState)
        session.receive(UserText(session_id="s", text="And this?", turn=1, epoch=1))
        await talk.until(TurnEnd)
        exchange = session._mind.recall(1)
    assert exchange is not None
    typed, spoken = exchange.question
    assert typed == "And this?"
    assert len(spoken) == 5, "0.4 s"


async def test_an_interrupt_stops_the_answer_and_cuts_what_is_remembered() -> None:
    async with talking(max_reply_tokens=900) as (talk, session):
        session.receive(UserText(session_id="s", text="Tell me more.", turn=1, epoch=1))
        async with asyncio.timeout(20):
            while not talk.actor:
                await asyncio.sleep(0.002)
        session.receive(
            Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=3, last_shown_chunk=0)
        )
        end = await talk.until(TurnEnd)
        exchange = session._mind.recall(1)
        given = len(talk.actor)
        await asyncio.sleep(0.1)
        assert len(talk.actor) == given, "nothing more is said"
    assert isinstance(end, TurnEnd)
    assert end.reason == "interrupted"
    assert exchange is not None
    heard = exchange.heard_answer(TOKENIZER)
    assert sum(TOKENIZER.is_code(token_id) for token_id in heard) == 3
    assert len(exchange.answer) > len(heard)


async def test_a_model_that_fails_ends_the_answer_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking() as (talk, session):
        with monkeypatch.context() as patched:

            def no_memory(*_: object) -> list[Emitted]:
                raise RuntimeError("out of memory")

            patched.setattr(GlmDecoder, "step", no_memory)
            session.receive(UserText(session_id="s", text="Hello?", turn=1, epoch=1))
            failure = await talk.until(Failure)
            await talk.until(TurnEnd)
        session.receive(UserText(session_id="s", text="Again?", turn=2, epoch=2))
        end = await talk.until(TurnEnd, 2)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("generation_failed", True)
    assert isinstance(end, TurnEnd)
    assert end.reason == "completed", "the next answer works again"


async def test_a_session_that_was_closed_before_it_ran_frees_its_place() -> None:
    decoder = GlmDecoder(MODEL, Sampling(1.0, 1.0, 320), slots=1, context_tokens=600)
    thread = TokenThread(FoldedGeneration(decoder, frozenset()))
    for _ in range(2):  # the second finds the place of the first
        talk, workers = Talk(), Workers()
        dialogue = GlmDialogue(TOKENIZER, "", (), 300)
        mind = GlmMind(
            thread,
            await thread.open(),
            TOKENIZER,
            dialogue,
            SpeechEars(ENCODER, None),
            workers,
            ThinkerMetrics(),
            max_reply_tokens=40,
            with_states=False,
        )
        opened = OpenThinkerSession(
            session_id="s", name="Ann", voice="any", language="en", actor_endpoint="inproc://a"
        )
        session = ThinkerSession(opened, mind, talk.send)
        session.close()
        async with asyncio.timeout(10):
            await session.run()
        workers.close()
    thread.close()
