"""A recording from before the call is heard once, by the agent that it was made for."""

import asyncio
import io
from types import SimpleNamespace

import av
import numpy as np
import pytest
from livekit import rtc
from livekit.protocol.models import TF_PRECONNECT_BUFFER

from proto.time_law import HEARING_BLOCK_SAMPLES
from services.room_agent.preconnect import MAX_RECORDINGS, PreconnectBuffer
from tests.unit.services.room_agent.test_hostile_clients import Recording
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit


def track(sid: str) -> rtc.TrackPublication:
    features = [int(TF_PRECONNECT_BUFFER)]
    return SimpleNamespace(sid=sid, audio_features=features)  # type: ignore[return-value]


def recording(sid: str, seconds: float, kind: str = "audio/raw") -> rtc.ByteStreamReader:
    pcm = np.ones(round(48_000 * seconds), np.int16)
    return Recording(pcm.tobytes(), kind, {"trackId": sid})  # type: ignore[return-value]


@virtually
async def test_a_track_that_is_subscribed_to_again_brings_no_words_twice() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 1.0))
    assert len(await buffer.blocks(track("TR_1"))) * HEARING_BLOCK_SAMPLES == pytest.approx(
        16_000, abs=2 * HEARING_BLOCK_SAMPLES
    )
    assert await buffer.blocks(track("TR_1")) == []
    assert buffer._recordings == {}


@virtually
async def test_who_waited_in_vain_waits_no_second_time() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    assert await buffer.blocks(track("TR_1")) == []
    await buffer._receive(recording("TR_1", 1.0))
    assert await buffer.blocks(track("TR_1")) == []


@virtually
async def test_a_busy_browsers_recording_is_waited_for() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    async with asyncio.TaskGroup() as tasks:
        blocks = tasks.create_task(buffer.blocks(track("TR_1")))
        await asyncio.sleep(2.0)
        await buffer._receive(recording("TR_1", 1.0))
    assert len(blocks.result()) * HEARING_BLOCK_SAMPLES == pytest.approx(16_000, rel=0.05)


async def test_a_recording_that_nobody_understands_is_waited_for_no_longer() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 1.0, "video/mp4"))
    assert buffer._recordings["TR_1"].done()
    assert await buffer.blocks(track("TR_1")) == []


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
    blocks = await buffer.blocks(track("TR_1"))
    assert len(blocks) * HEARING_BLOCK_SAMPLES == pytest.approx(32_000, rel=0.03)
    assert np.abs(np.stack(blocks)).max() > 5_000


@virtually
async def test_a_recording_of_nothing_is_no_sound() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    await buffer._receive(recording("TR_1", 0.0))
    assert await buffer.blocks(track("TR_1")) == []


@virtually
async def test_a_track_that_was_not_recorded_is_not_waited_for() -> None:
    plain = SimpleNamespace(sid="TR_1", audio_features=[])
    began_s = asyncio.get_running_loop().time()
    assert await PreconnectBuffer(rtc.Room()).blocks(plain) == []  # type: ignore[arg-type]
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
    assert len(await buffer.blocks(track("TR_1"))) > 40


@pytest.mark.parametrize("claim", [{"sampleRate": "1"}, {"channels": "7"}, {"sampleRate": "many"}])
async def test_a_recording_that_claims_nonsense_is_none(claim: dict[str, str]) -> None:
    buffer = PreconnectBuffer(rtc.Room())
    pcm = np.ones(48_000, np.int16)
    sent = Recording(pcm.tobytes(), "audio/raw", {"trackId": "TR_1", **claim})
    await buffer._receive(sent)  # type: ignore[arg-type]
    assert await buffer.blocks(track("TR_1")) == []


@virtually
async def test_two_channels_are_one_voice() -> None:
    buffer = PreconnectBuffer(rtc.Room())
    both = np.tile(np.array([2_000, 4_000], np.int16), 48_000)
    sent = Recording(both.tobytes(), "audio/raw", {"trackId": "TR_1", "channels": "2"})
    await buffer._receive(sent)  # type: ignore[arg-type]
    blocks = await buffer.blocks(track("TR_1"))
    assert len(blocks) == pytest.approx(50, abs=2)
    assert np.median(np.stack(blocks)) == pytest.approx(3_000, abs=30)
