"""Laws of the codec that hold for any message and any bytes; `make fuzz` tries many more."""

import json
import tracemalloc
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proto.codec import MAGIC, MAX_HEADER_BYTES, decode, encode
from proto.message import Message, MessageError
from proto.messages import ALL_MESSAGES
from tests.fuzz.codec_law import obeys, same
from tests.fuzz.mutation import mutate
from tests.unit.proto.examples import EXAMPLES
from tests.unit.proto.message_strategies import messages

pytestmark = pytest.mark.unit

ENCODED = [[bytes(frame) for frame in encode(message)] for message in EXAMPLES]
QUICK = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
BYTES_PER_BYTE = 160
"""What Python may hold while it judges a byte of header: pydantic keeps the whole input once for
each field that is missing."""
BOMB_BYTES = MAX_HEADER_BYTES // 4


@pytest.mark.parametrize("cls", ALL_MESSAGES, ids=lambda cls: cls.__name__)
@settings(QUICK, max_examples=15)
@given(data=st.data())
def test_any_message_survives_the_wire(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    assert same(decode([bytes(frame) for frame in encode(message)]), message)


@settings(QUICK, max_examples=1500)
@given(frames=st.sampled_from(ENCODED), chance=st.randoms(use_true_random=False))
def test_a_changed_message_is_refused_or_is_a_message(frames: list[bytes], chance: Random) -> None:
    obeys(mutate(frames, chance))


@settings(QUICK, max_examples=400)
@given(
    kind=st.sampled_from([cls.__name__.encode() for cls in ALL_MESSAGES]) | st.binary(max_size=80),
    header=st.binary(max_size=300),
    rest=st.lists(st.binary(max_size=64), max_size=20),
)
def test_any_bytes_are_refused_or_are_a_message(
    kind: bytes, header: bytes, rest: list[bytes]
) -> None:
    obeys([MAGIC, kind, header, *rest])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["frame", "dtype", "shape", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(QUICK, max_examples=300)
@given(frames=st.sampled_from(ENCODED), stand_in=JSON, data=st.data())
def test_whatever_stands_for_a_tensor_is_judged(
    frames: list[bytes], stand_in: object, data: st.DataObject
) -> None:
    header = json.loads(frames[2])
    header[data.draw(st.sampled_from(sorted(header)))] = stand_in
    obeys([*frames[:2], json.dumps(header).encode(), *frames[3:]])


BOMBS = {
    "history": (b"OpenThinkerSession", b'{"history":[', b"{},", b"{}]}"),
    "phones": (b"HiddenChunk", b'{"phones":[', b"{},", b"{}]}"),
    "stamps": (b"Ping", b'{"stamps":[', b"0,", b"0]}"),
    "unknown fields": (b"Ping", b'{"a":1', b',"b":1', b"}"),
    "a shape": (b"UserAudio", b'{"pcm":{"frame":0,"dtype":"int16","shape":[', b"999,", b"9]}}"),
    "a dtype": (b"UserAudio", b'{"pcm":{"frame":0,"shape":[1],"dtype":"', b"xxxx", b'"}}'),
    "depth": (b"Ping", b'{"a":', b"[", b""),
    "labels": (b"SessionReady", b'{"labels":{"a":"b"', b',"c":"d"', b"}}"),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_judging_a_bomb_holds_a_bounded_multiple_of_its_bytes(
    bomb: tuple[bytes, bytes, bytes, bytes],
) -> None:
    kind, begin, repeated, end = bomb
    times = BOMB_BYTES // len(repeated)
    frames = [MAGIC, kind, begin + repeated * times + end]
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            decode(frames)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BYTES_PER_BYTE * BOMB_BYTES
