"""A recording from before the call is heard once, by the agent that it was made for."""

import asyncio
import io
from collections.abc import AsyncIterator
from types import SimpleNamespace

import av
import numpy as np
import pytest
from livekit import rtc
from livekit.protocol.models import TF_PRECONNECT_BUFFER
from numpy.typing import NDArray

from proto.time_law import HEARING_HZ
from services.room_agent.preconnect import (
    MAX_RECORDINGS,
    MAX_SECONDS,
    OVERLAP_S,
    WAIT_S,
    PreconnectBuffer,
)
from tests.unit.services.room_agent.test_hostile_clients import Recording
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit


SINCE_S = 1_000.0
"""When virtual time begins, and when the track is heard."""


def track(sid: str) -> rtc.TrackPublication:
    features = [int(TF_PRECONNECT_BUFFER)]
    return SimpleNamespace(sid=sid, audio_features=features)  # type: ignore[return-value]


def recording(sid: str, seconds: float, kind: str = "audio/raw") -> rtc.ByteStreamReader:
    pcm = np.ones(round(48_000 * seconds), np.int16)
    return Recording(pcm.tobytes(), kind, {"trackId": sid})  # type: ignore[return-value]


async def heard(buffer: PreconnectBuffer, sid: str = "TR_1") -> NDArray[np.int16]:
    """What was recorded of a track that is heard since the call began."""
    return (await buffer.recorded(track(sid), SINCE_S)).pcm


@virtually
async def test_a_track_that_is_subscribed_to_again_brings_no_words_twice() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 1.0))
    assert len(await heard(buffer)) == pytest.approx(16_000, abs=640)
    assert not len(await heard(buffer))
    assert buffer._recordings == {}


@virtually
async def test_who_waited_in_vain_waits_no_second_time() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    assert not len(await heard(buffer))
    await buffer._receive(recording("TR_1", 1.0))
    assert not len(await heard(buffer))
    assert buffer._recordings == {}


@virtually
async def test_a_busy_browsers_recording_is_waited_for() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    async with asyncio.TaskGroup() as tasks:
        pcm = tasks.create_task(heard(buffer))
        await asyncio.sleep(2.0)
        await buffer._receive(recording("TR_1", 1.0))
    assert len(pcm.result()) == pytest.approx(16_000, rel=0.05)


class StillRecording(Recording):
    """What a browser sends that never learns that it is heard: a part when it is recorded."""

    def __init__(self, sid: str, sound: NDArray[np.int16], backlog_s: float, late_s: float) -> None:
        super().__init__(b"", "audio/raw", {"trackId": sid})
        self._sound, self._backlog, self._late_s = sound, round(48_000 * backlog_s), late_s
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._sound[: self._backlog].tobytes()
        await asyncio.sleep(self._late_s)
        for begin in range(self._backlog, len(self._sound), PART):
            await asyncio.sleep(PART / 48_000)
            self.sent = begin + PART
            yield self._sound[begin : begin + PART].tobytes()


PART = 4_800
SPEECH = np.random.default_rng(0).normal(0, 3_000, 48_000 * 10).astype(np.int16)


@virtually
async def test_a_recording_that_does_not_end_is_cut_where_the_track_begins() -> None:
    """As browsers do whose track was taken before they had finished publishing it."""
    buffer = PreconnectBuffer(rtc.Room())
    still = StillRecording("TR_1", SPEECH, backlog_s=2.0, late_s=0.0)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        began_s = loop.time()
        reading = tasks.create_task(buffer._receive(still))  # type: ignore[arg-type]
        recorded = await buffer.recorded(track("TR_1"), loop.time())
        waited_s = loop.time() - began_s
        await asyncio.wait([reading])
    assert waited_s == pytest.approx(OVERLAP_S, abs=0.11)
    assert not recorded.ended
    assert recorded.heard_samples / HEARING_HZ == pytest.approx(waited_s, abs=0.01)
    before = len(recorded.pcm) - recorded.heard_samples
    assert before / HEARING_HZ == pytest.approx(2.0, abs=0.05)
    assert still.sent < 48_000 * 4, "nobody reads what nobody will hear"
    assert buffer._recordings == {}


@virtually
async def test_a_recording_that_breaks_off_is_heard_as_far_as_it_came() -> None:
    class BrokenOff(StillRecording):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._sound[: self._backlog].tobytes()
            raise rtc.StreamError("the sender is gone")

    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(BrokenOff("TR_1", SPEECH, 1.0, 0.0))  # type: ignore[arg-type]
    assert len(await heard(buffer)) == pytest.approx(16_000, rel=0.05)


@virtually
async def test_more_bytes_than_a_recording_has_are_none() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", MAX_SECONDS + 0.1))
    assert not len(await heard(buffer))


async def test_a_recording_that_nobody_understands_is_waited_for_no_longer() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 1.0, "video/mp4"))
    async with asyncio.timeout(WAIT_S / 2):
        assert not len(await heard(buffer))


def safari(seconds: int) -> bytes:
    """A tone as a phone records it: AAC in fragments of an MP4."""
    rate, frame_samples = 48_000, 1024
    tone = np.sin(np.arange(rate * seconds) * 2 * np.pi * 440 / rate).astype(np.float32) / 4
    file = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(file, "w", format="mp4", options=flags) as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        for begin in range(0, len(tone) - frame_samples, frame_samples):
            samples = tone[None, begin : begin + frame_samples]
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


async def test_a_phones_recording_is_heard() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    sent = Recording(safari(2), "video/mp4", {"trackId": "TR_1"})
    await buffer._receive(sent)  # type: ignore[arg-type]
    pcm = await heard(buffer)
    assert len(pcm) == pytest.approx(32_000, rel=0.03)
    assert np.abs(pcm).max() > 5_000


@virtually
async def test_a_recording_of_nothing_is_no_sound() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 0.0))
    assert not len(await heard(buffer))


@virtually
async def test_a_track_that_was_not_recorded_is_not_waited_for() -> None:
    plain = SimpleNamespace(sid="TR_1", audio_features=[])
    began_s = asyncio.get_running_loop().time()
    assert not await PreconnectBuffer(rtc.Room()).recorded(plain, SINCE_S)  # type: ignore[arg-type]
    assert asyncio.get_running_loop().time() == began_s


@virtually
async def test_recordings_of_tracks_that_never_come_are_few() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    for number in range(3 * MAX_RECORDINGS):
        await buffer._receive(recording(f"TR_{number}", 0.1))
    assert list(buffer._recordings) == [
        f"TR_{number}" for number in range(2 * MAX_RECORDINGS, 3 * MAX_RECORDINGS)
    ]


@virtually
async def test_the_second_recording_of_a_track_is_ignored() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 1.0))
    await buffer._receive(recording("TR_1", 0.1))
    assert len(await heard(buffer)) > 12_800


@pytest.mark.parametrize("claim", [{"sampleRate": "1"}, {"channels": "7"}, {"sampleRate": "many"}])
async def test_a_recording_that_claims_nonsense_is_none(claim: dict[str, str]) -> None:
    buffer = PreconnectBuffer(rtc.Room())
    pcm = np.ones(48_000, np.int16)
    sent = Recording(pcm.tobytes(), "audio/raw", {"trackId": "TR_1", **claim})
    await buffer._receive(sent)  # type: ignore[arg-type]
    assert not len(await heard(buffer))


@virtually
async def test_two_channels_are_one_voice() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    both = np.tile(np.array([2_000, 4_000], np.int16), 48_000)
    sent = Recording(both.tobytes(), "audio/raw", {"trackId": "TR_1", "channels": "2"})
    await buffer._receive(sent)  # type: ignore[arg-type]
    pcm = await heard(buffer)
    assert len(pcm) == pytest.approx(16_000, abs=640)
    assert np.median(pcm) == pytest.approx(3_000, abs=30)
