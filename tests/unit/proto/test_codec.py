"""The wire format: golden bytes, round trips, and a table of input that must be refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from proto.codec import MAGIC, MAX_HEADER_BYTES, decode, encode
from proto.message import MAX_STAMPS, Message, MessageError
from proto.messages import (
    ALL_MESSAGES,
    AVChunk,
    Grant,
    HiddenChunk,
    Mood,
    MoodChange,
    Ping,
    SpokenMood,
    UserAudio,
)
from tests.unit.proto.examples import EXAMPLES, S, ramp

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).with_name("golden_wire.json")


def wire_facts(message: Message) -> dict[str, object]:
    """What is pinned of a message's bytes: the text frames whole, the tensors by digest."""
    magic, kind, header, *tensors = encode(message)
    return {
        "magic": bytes(magic).decode(),
        "kind": bytes(kind).decode(),
        "header": bytes(header).decode(),
        "tensors": [hashlib.sha256(frame).hexdigest() for frame in tensors],
    }


def test_every_message_has_an_example() -> None:
    assert {type(m) for m in EXAMPLES} == set(ALL_MESSAGES)


def test_the_bytes_of_every_message_are_the_golden_bytes() -> None:
    assert [wire_facts(m) for m in EXAMPLES] == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    back = decode(encode(message))
    assert type(back) is type(message)
    for name in type(message).model_fields:
        sent, got = getattr(message, name), getattr(back, name)
        if isinstance(sent, np.ndarray):
            assert got.dtype == sent.dtype
            assert not got.flags.writeable
            np.testing.assert_array_equal(got, sent)
        else:
            assert got == sent


def test_tensors_are_views_of_the_received_frames() -> None:
    frames = [bytes(f) for f in encode(UserAudio(session_id=S, pts_us=0, pcm=ramp("int16", 320)))]
    message = decode(frames)
    assert isinstance(message, UserAudio)
    assert np.shares_memory(message.pcm, np.frombuffer(frames[3], np.int16))


def test_a_non_contiguous_array_arrives_whole() -> None:
    pcm = ramp("int16", 640)[::2]
    message = decode(encode(UserAudio(session_id=S, pts_us=0, pcm=pcm)))
    assert isinstance(message, UserAudio)
    np.testing.assert_array_equal(message.pcm, pcm)


def header(**changes: object) -> bytes:
    """The header of a Grant, changed."""
    fields: dict[str, object] = {"version": 1, "session_id": S, "epoch": 0, "seq": 0}
    fields |= {"sent_us": 0, "stamps": [], "credit": 1}
    fields |= changes
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


def audio(tensor: object) -> list[bytes]:
    """A UserAudio whose tensor stand-in is `tensor`, with 640 bytes behind it."""
    text = header(credit=None, pts_us=0, pcm=tensor)
    return [MAGIC, b"UserAudio", text, bytes(640)]


PCM = {"frame": 0, "dtype": "int16", "shape": [320]}
REFUSED = {
    "nothing": ([], "not a message"),
    "two frames": ([MAGIC, b"Grant"], "not a message"),
    "another protocol": ([b"XSTREAMER/2", b"Grant", header()], "not a message"),
    "a long magic": ([MAGIC + b"0", b"Grant", header()], "not a message"),
    "an unknown kind": ([MAGIC, b"Grunt", header()], "unknown kind"),
    "a kind that is no text": ([MAGIC, b"\xff\xfe", header()], "unknown kind"),
    "the envelope alone": ([MAGIC, b"Message", header()], "unknown kind"),
    "broken JSON": ([MAGIC, b"Grant", b"{"], "Invalid JSON"),
    "JSON that is no object": ([MAGIC, b"Grant", b"[]"], "object"),
    "a huge header": ([MAGIC, b"Grant", b" " * (MAX_HEADER_BYTES + 1)], "limit"),
    "an unknown field": ([MAGIC, b"Grant", header(extra=1)], "extra"),
    "another version": ([MAGIC, b"Grant", header(version=2)], "version"),
    "a missing field": ([MAGIC, b"Grant", header(credit=None)], "credit"),
    "a number as text": ([MAGIC, b"Grant", header(credit="1")], "credit"),
    "a fraction for a count": ([MAGIC, b"Grant", header(credit=1.5)], "credit"),
    "true for a number": ([MAGIC, b"Grant", header(credit=True)], "credit"),
    "no credit at all": ([MAGIC, b"Grant", header(credit=0)], "credit"),
    "too much credit": ([MAGIC, b"Grant", header(credit=65)], "credit"),
    "an empty session": ([MAGIC, b"Grant", header(session_id="")], "session_id"),
    "a path as session": ([MAGIC, b"Grant", header(session_id="../x")], "session_id"),
    "a negative epoch": ([MAGIC, b"Grant", header(epoch=-1)], "epoch"),
    "too many stamps": (
        [MAGIC, b"Grant", header(stamps=[{"name": "a", "at_us": 0, "host": "h"}] * 65)],
        "stamps",
    ),
    "a frame that no field names": (
        [MAGIC, b"Grant", header(), b"x"],
        "belong to no field",
    ),
    "very many frames": ([MAGIC, b"Grant", header(), *[b"x"] * 17], "limit"),
    "no tensor": (audio(None), "pcm"),
    "a tensor in the header": (audio([0] * 320), "pcm"),
    "a tensor without shape": (audio({"frame": 0, "dtype": "int16"}), "pcm"),
    "a frame that is not there": (audio(PCM | {"frame": 1}), "frame"),
    "a negative frame": (audio(PCM | {"frame": -1}), "frame"),
    "a frame index that is true": (audio(PCM | {"frame": False}), "frame"),
    "another dtype": (audio(PCM | {"dtype": "uint16"}), "must be"),
    "an object dtype": (audio(PCM | {"dtype": "object"}), "must be"),
    "a wrong size": (audio(PCM | {"shape": [321]}), "bytes"),
    "a negative size": (audio(PCM | {"shape": [-1]}), "shape"),
    "an overflowing shape": (audio(PCM | {"shape": [2**62, 2**62]}), "shape"),
    "a size past every limit": (audio(PCM | {"shape": [10**4000]}), "shape"),
    "a large size": (audio(PCM | {"shape": [2**31 - 1]}), "bytes"),
    "very many dimensions": (audio(PCM | {"shape": [999] * 100_000}), "shape"),
    "a tensor of numbers that are none": (
        [
            MAGIC,
            b"Listen",
            header(
                credit=None,
                speaking=True,
                features={"frame": 0, "dtype": "float16", "shape": [1, 8, 80]},
            ),
            np.full(640, np.nan, np.float16).tobytes(),
        ],
        "not finite",
    ),
    "very many unknown fields": (
        [MAGIC, b"Grant", header(**{f"x{i}": 1 for i in range(50_000)})],
        "50000 things are wrong",
    ),
    "a long history of nothing": (
        [MAGIC, b"OpenThinkerSession", header(credit=None, history=[{}] * 50_000)],
        "Field required",
    ),
    "an endless dtype": (audio(PCM | {"dtype": "x" * 1_000_000}), "must be|tensor is"),
    "a wrong rank": (audio(PCM | {"shape": [320, 1]}), "shape"),
}


@pytest.mark.parametrize(("frames", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_with_its_reason(frames: list[bytes], reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        decode(frames)


def test_infinite_numbers_are_refused() -> None:
    text = b'{"session_id":"a","engine":"actor","real_time_factor":Infinity,'
    text += b'"queue_depth":0,"sessions":0}'
    with pytest.raises(MessageError):
        decode([MAGIC, b"EngineStatus", text])


def test_dimensions_must_agree_between_tensors() -> None:
    with pytest.raises(ValidationError, match="dimension S"):
        HiddenChunk(
            session_id=S,
            turn=0,
            first_token=0,
            audio_tokens=0,
            final=True,
            text_ids=ramp("int32", 3),
            text_states=ramp("float16", 4, 6),
        )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"audio_tokens": 4, "pcm": ramp("int16", 7679)}, "7680"),
        ({"audio_tokens": 4}, "needs pcm or audio_ids"),
        ({"audio_tokens": 3, "audio_ids": ramp("int32", 4)}, "disagree"),
        ({"audio_tokens": 3, "audio_ids": ramp("int32", 3) - 1}, "count from 0"),
        ({"audio_tokens": 3, "audio_states": ramp("float16", 3, 6)}, "needs pcm or audio_ids"),
    ],
)
def test_speech_must_fit_its_token_count(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        HiddenChunk(session_id=S, turn=0, first_token=0, final=False, **fields)


@pytest.mark.parametrize("tokens", [[7], [3], [5, 4], [5, 5]])
def test_moods_change_at_tokens_of_their_part_in_order(tokens: list[int]) -> None:
    moods = tuple(
        MoodChange(first_token=t, mood=SpokenMood(meant=Mood(expression="warm"))) for t in tokens
    )
    with pytest.raises(ValidationError, match="of a part from 4 to 7"):
        HiddenChunk(
            session_id=S,
            turn=0,
            first_token=4,
            audio_tokens=3,
            final=False,
            audio_ids=ramp("int32", 3),
            moods=moods,
        )


def test_a_mood_lies_over_another_where_it_says_something() -> None:
    call = Mood(expression="warm", strength=0.4, yaw_deg=3.0, pitch_deg=1.0)
    assert Mood().over(call) == call
    assert Mood(yaw_deg=0.0).over(call) == call.model_copy(update={"yaw_deg": 0.0})
    assert Mood(expression="neutral").over(call) == call.model_copy(
        update={"expression": "neutral", "strength": 1.0}
    )


def test_an_array_of_the_wrong_shape_cannot_be_put_into_a_message() -> None:
    with pytest.raises(ValidationError, match="must be"):
        UserAudio(session_id=S, pts_us=0, pcm=ramp("int16", 319))
    with pytest.raises(ValidationError, match="float32"):
        UserAudio(session_id=S, pts_us=0, pcm=ramp("float32", 320))
    with pytest.raises(ValidationError, match="array"):
        UserAudio(session_id=S, pts_us=0, pcm=b"12")  # type: ignore[arg-type]


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EXAMPLES[0].epoch = 1  # type: ignore[misc]


def test_stamps_collect_in_order_and_stop_at_the_limit() -> None:
    message = Ping(session_id=S)
    for i in range(MAX_STAMPS + 3):
        message = message.stamped(f"s{i}", i, "host")
    assert [s.name for s in message.stamps] == [f"s{i}" for i in range(MAX_STAMPS)]


def test_tensors_are_only_serialised_by_the_codec() -> None:
    message = next(m for m in EXAMPLES if isinstance(m, AVChunk))
    with pytest.raises(PydanticSerializationError, match=r"proto\.codec"):
        message.model_dump_json()


def test_credit_is_bounded() -> None:
    with pytest.raises(ValidationError):
        Grant(session_id=S, credit=1000)
