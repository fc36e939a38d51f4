"""What no honest page or engine sends neither ends a call nor grows its memory. On virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit import rtc
from livekit.protocol.models import TF_PRECONNECT_BUFFER
from pydantic import ValidationError

from proto.messages import Failure, TextDelta, Transcript, TurnEnd, TurnState, UserText
from proto.time_law import HEARING_HZ
from services.room_agent import preconnect, witness
from services.room_agent.incoming import MAX_STREAMS, IncomingStreams, parts_up_to
from services.room_agent.job import CallJob
from services.room_agent.playhead import MAX_CHUNKS, Playhead
from services.room_agent.typed_words import MAX_CHAT_CHARACTERS
from tests.fuzz.page import fuzz_page
from tests.unit.proto.message_strategies import messages
from tests.unit.services.room_agent.fake_call import Call, av_chunk, call
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit

QUICK = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
NUMBERS = st.sampled_from((0, -1, 1, 2**31, 2**53, 1e300, float("nan"), None, True, "1", [], {}))
FIELDS = ("sent_ms", "round_trip_ms", "turn", "epoch", "moment", "heard_us", "seen_us", "error_us")
PAGE_MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(FIELDS), NUMBERS).map(lambda said: json.dumps(said).encode()),
    st.sampled_from((b"[" * 2000, b"x" * 100_000, b'{"a":' * 300, b"9" * 2000, b"\xff", b"null")),
)
TOPICS = st.sampled_from(sorted(witness.PAGE_TOPICS))


@settings(QUICK, max_examples=500)
@given(topic=TOPICS, payload=PAGE_MESSAGES)
def test_whatever_a_page_says_is_read_or_is_nothing(topic: str, payload: bytes) -> None:
    witness.read(topic, payload)


def test_no_page_message_spoils_the_record_of_its_turn() -> None:
    figures = fuzz_page(3_000)
    assert not figures.findings
    assert figures.taken > 500


def lie(timing: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**timing, "moment": "began", "error_us": 0} | changes).encode()


def told_turns(running: Call) -> list[dict[str, Any]]:
    return [message for topic, message in running.room.told if topic == witness.TURN_TOPIC]


@virtually
async def test_a_page_that_lies_and_floods_is_answered_all_the_same() -> None:
    async with call() as running:
        for turn in (1, 2):
            await running.say(1.0)
            await running.until(lambda: running.room.states[-1] == "speaking")
            named = {"turn": turn, "epoch": running.agent._session.epoch}
            for topic in sorted(witness.PAGE_TOPICS):
                for _ in range(500):
                    running.agent.page_said(topic, b'{"sent_ms": 1}')
                    running.agent.page_said(topic, b"\xff" * 5000)
            for moment in (0, 1, 2**53, 1e15):
                for error in (0, 2**53, 4_999_999):
                    lied = lie(named, heard_us=moment, seen_us=moment, error_us=error)
                    running.agent.page_said("xs.then", lied)
            await running.until(lambda: running.room.states[-1] == "listening", 20)
            await running.until(lambda turn=turn: len(told_turns(running)) == turn, 20)
        assert all(record["outcome"] == "completed" for record in told_turns(running))


KINDS = (TextDelta, TurnState, TurnEnd, Transcript, Failure)


@settings(QUICK, max_examples=12)
@given(said=st.lists(st.one_of([messages(kind) for kind in KINDS]), max_size=12), data=st.data())
def test_engines_that_break_the_protocol_do_not_end_the_call(said: list[Any], data: Any) -> None:
    """Any epochs, turns, token counts and orders; then the next question is answered."""
    far = st.sampled_from((0, 1, 2, 2**31 - 1))
    chunks = [
        av_chunk(0, 0).model_copy(
            update={name: data.draw(far) for name in ("chunk", "turn", "epoch", "first_token")}
            | {"audio_tokens": data.draw(st.integers(0, 4)), "last": data.draw(st.booleans())}
        )
        for _ in range(3)
    ]
    near = {"turn": 1, "epoch": 1}

    @virtually
    async def hold_a_call() -> None:
        async with call() as running:
            await running.say(1.0)
            await running.listen(0.8)
            for message in said:
                running.engines.events.thinker_said(message)
                running.engines.events.thinker_said(message.model_copy(update=near))
            for chunk in chunks:
                running.engines.events.actor_said(chunk)
                running.engines.events.actor_said(chunk.model_copy(update=near))
            await running.listen(4.0)
            asked = len(running.engines.thinker.of(UserText))
            running.agent.read("And now?")
            assert len(running.engines.thinker.of(UserText)) == asked + 1
            await running.listen(3.0)

    hold_a_call()


def test_an_actor_that_sends_without_credit_fills_no_memory() -> None:
    playhead = Playhead()
    for number in range(MAX_CHUNKS * 3):
        playhead.append(av_chunk(number, 0))
    assert playhead.chunks_ahead == MAX_CHUNKS


class Endless:
    """A stream that a client never ends: each part as large as it likes, or no part at all."""

    def __init__(self, part: Any = None) -> None:
        self._part = part
        self.sent = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        while self._part is not None:
            self.sent += 1
            yield self._part
        await asyncio.Event().wait()

    def close(self) -> None:
        self.closed = True


@virtually
async def test_a_stream_is_read_only_up_to_its_limit() -> None:
    reader = Endless("words ")
    parts = await parts_up_to(reader, MAX_CHAT_CHARACTERS)
    assert MAX_CHAT_CHARACTERS < len("".join(parts)) <= MAX_CHAT_CHARACTERS + 6


@virtually
async def test_of_streams_that_never_end_the_newest_few_stay_a_while() -> None:
    readers = [Endless() for _ in range(200)]
    async with asyncio.TaskGroup() as tasks:
        streams = IncomingStreams(tasks, "chat")
        for reader in readers:
            streams.take(reader, lambda reader=reader: parts_up_to(reader, 10))
        await asyncio.sleep(1)
        assert all(reader.closed for reader in readers[:-MAX_STREAMS])
        assert not any(reader.closed for reader in readers[-MAX_STREAMS:])
    assert all(reader.closed for reader in readers)


class Recording(Endless):
    """A pre-connect recording as a client may send it."""

    def __init__(self, content: bytes, kind: str, attributes: dict[str, str]) -> None:
        super().__init__()
        self._content = content
        self.info = rtc.data_stream.ByteStreamInfo("s", kind, "t", 0, 0, attributes, "n")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


@settings(QUICK, max_examples=120)
@given(
    content=st.binary(max_size=3000),
    kind=st.sampled_from(("audio/opus", "audio/webm;codecs=opus", "audio/pcm", "", "\x00")),
    attributes=st.dictionaries(
        st.sampled_from(("sampleRate", "channels", "trackId")),
        st.sampled_from(("", "48000", "16000", "-1", "0", "2", "9" * 5000, "1e3", "²", "TR_1")),
    ),
)
def test_whatever_a_recording_holds_is_audio_or_nothing(
    content: bytes, kind: str, attributes: dict[str, str]
) -> None:
    async def receive() -> int:
        buffer = preconnect.PreconnectBuffer(rtc.Room())
        await buffer._receive(Recording(content, kind, attributes))
        track_sid, before = next(iter(buffer._recordings), ""), len(buffer._recordings)
        features = [int(TF_PRECONNECT_BUFFER)]
        publication = SimpleNamespace(sid=track_sid, audio_features=features)
        recorded = await buffer.recorded(publication, 0.0)  # type: ignore[arg-type]
        assert recorded.pcm.dtype == np.int16
        assert len(recorded.pcm) <= preconnect.MAX_SECONDS * HEARING_HZ
        return before

    assert asyncio.run(receive()) <= 1


async def test_recordings_of_tracks_that_are_none_are_forgotten() -> None:
    buffer = preconnect.PreconnectBuffer(rtc.Room())
    for number in range(100):
        await buffer._receive(Recording(bytes(960), "audio/pcm", {"trackId": str(number)}))
    assert len(buffer._recordings) == preconnect.MAX_RECORDINGS


@settings(QUICK, max_examples=200)
@given(metadata=st.text(max_size=200) | st.sampled_from(("[" * 5000, "{}", "null", "9" * 6000)))
def test_whatever_a_job_says_is_a_job_or_is_refused(metadata: str) -> None:
    with pytest.raises(ValidationError):
        CallJob.from_metadata(metadata)
