"""What of the caller's camera leaves the agent: one small, fresh, upright JPEG."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from PIL import Image

from services.room_agent import camera
from services.room_agent.camera import MAX_BYTES, MAX_SIDE, STALE_US, CallerCamera, small_jpeg
from tests.unit.services.room_agent.fake_livekit import (
    AGENT,
    CAMERA,
    Publication,
    Room,
    participant,
    track,
)

pytestmark = pytest.mark.unit

UPRIGHT = rtc.VideoRotation.VIDEO_ROTATION_0


def event(rgb: np.ndarray, rotation: Any = UPRIGHT) -> rtc.VideoFrameEvent:
    """A frame (H, W, 3) as the caller's browser sends it: I420."""
    height, width, _ = rgb.shape
    frame = rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, rgb.tobytes())
    return rtc.VideoFrameEvent(frame.convert(rtc.VideoBufferType.I420), 0, rotation)


def opened(jpeg: np.ndarray) -> Image.Image:
    return Image.open(io.BytesIO(jpeg.tobytes()), formats=["JPEG"])


def test_a_frame_shrinks_to_a_small_jpeg_of_the_same_shape() -> None:
    assert opened(small_jpeg(event(np.zeros((720, 1280, 3), np.uint8)))).size == (512, 288)


def test_a_small_frame_keeps_its_size_and_colours() -> None:
    picture = opened(small_jpeg(event(np.full((36, 64, 3), (200, 40, 40), np.uint8))))
    assert picture.size == (64, 36)
    np.testing.assert_allclose(np.asarray(picture)[18, 30], (200, 40, 40), atol=8)


def test_even_noise_stays_within_the_bound_of_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (MAX_SIDE, MAX_SIDE, 3)).astype(np.uint8)
    assert len(small_jpeg(event(noise))) <= MAX_BYTES


SHAPES = [(1, 1), (1, 2), (2, 1), (1, 4000), (4000, 1), (3, 5), (513, 511), (2160, 3840)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_camera_of_any_shape_gives_a_small_jpeg(shape: tuple[int, int]) -> None:
    jpeg = small_jpeg(event(np.full((*shape, 3), 90, np.uint8)))
    assert len(jpeg) <= MAX_BYTES
    assert 1 <= min(opened(jpeg).size) <= max(opened(jpeg).size) <= MAX_SIDE


def test_a_phone_held_upright_is_described_upright() -> None:
    lying = np.zeros((36, 64, 3), np.uint8)
    lying[:, :32] = 255  # left half; a quarter clockwise brings it to the top
    picture = opened(small_jpeg(event(lying, rtc.VideoRotation.VIDEO_ROTATION_90))).convert("L")
    assert picture.size == (36, 64)
    assert np.asarray(picture)[:24].mean() > 200 > 50 > np.asarray(picture)[40:].mean()


class TwoFrames:
    """Stands for LiveKit's stream of a track; notes what the camera shows at its end."""

    def __init__(self, watched: CallerCamera) -> None:
        self.watched = watched
        self.shown: np.ndarray | None = None
        self.closed = False

    def from_track(self, track: object, capacity: int) -> "TwoFrames":
        assert capacity == 1, "older frames are dropped, not queued"
        return self

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrameEvent]:
        yield event(np.zeros((36, 64, 3), np.uint8))
        yield event(np.zeros((18, 32, 3), np.uint8))
        self.shown = self.watched.photograph()

    async def aclose(self) -> None:
        self.closed = True


async def test_only_the_newest_frame_is_kept_and_none_after_the_camera_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = CallerCamera(rtc.Room())
    stream = TwoFrames(watched)
    monkeypatch.setattr(rtc, "VideoStream", stream)
    await watched.watch(object(), "sid")  # type: ignore[arg-type]
    assert stream.shown is not None
    assert opened(stream.shown).size == (32, 18)
    assert watched.photograph() is None
    assert stream.closed


async def test_a_frame_of_the_past_or_of_a_muted_camera_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = CallerCamera(rtc.Room())
    clock = [10_000_000]
    monkeypatch.setattr(camera, "call_us", lambda: clock[0])
    watched.take(event(np.zeros((18, 32, 3), np.uint8)))
    assert watched.photograph() is not None
    clock[0] += STALE_US + 1
    assert watched.photograph() is None
    watched.take(event(np.zeros((18, 32, 3), np.uint8)))
    watched.shut("")
    assert watched.photograph() is None


class Endless:
    """A camera that goes on until nobody watches it."""

    def __init__(self) -> None:
        self.closed = 0

    def from_track(self, track: object, capacity: int) -> "Endless":
        return self

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrameEvent]:
        while True:
            await asyncio.sleep(0)
            yield event(np.zeros((36, 64, 3), np.uint8))

    async def aclose(self) -> None:
        self.closed += 1


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_camera_is_watched_from_when_it_is_on_until_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Endless()
    monkeypatch.setattr(rtc, "VideoStream", stream)
    room, film = Room(), track(rtc.TrackKind.KIND_VIDEO)
    watched, shown = CallerCamera(room), Publication("TR_c", CAMERA)  # type: ignore[arg-type]
    caller = participant("caller", shown)
    async with asyncio.TaskGroup() as tasks:
        watched.register(tasks)
        room.emit("track_published", shown, caller)
        assert shown.subscribed
        room.emit("track_subscribed", film, shown, caller)
        await settle()
        assert watched.photograph() is not None
        room.emit("track_muted", caller, Publication("TR_other", CAMERA))
        assert watched.photograph() is not None
        room.emit("track_muted", caller, shown)
        await settle()
        assert watched.photograph() is None, "what was on its way is not looked at"
        room.emit("track_unmuted", caller, shown)
        await settle()
        assert watched.photograph() is not None
        room.emit("track_unsubscribed", film, shown, caller)
        room.emit("track_unsubscribed", film, shown, caller)
    assert stream.closed == 1
    assert watched.photograph() is None


async def test_a_camera_that_is_switched_on_later_is_the_one_that_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtc, "VideoStream", Endless())
    watched = CallerCamera(Room())  # type: ignore[arg-type]
    first = asyncio.create_task(watched.watch(track(None), "TR_1"))
    await settle()
    second = asyncio.create_task(watched.watch(track(None), "TR_2"))
    await asyncio.wait_for(first, 1)
    assert watched.photograph() is not None
    second.cancel()
    await asyncio.wait([second])
    assert watched.photograph() is None


@pytest.mark.parametrize(
    ("published", "sender"),
    [
        (Publication("TR_m"), participant("caller")),
        (Publication("TR_c", CAMERA), participant("avatar", kind=AGENT)),
    ],
    ids=["a microphone", "another avatar"],
)
async def test_nothing_but_a_callers_camera_is_asked_for(published: Any, sender: Any) -> None:
    sender.track_publications = {published.sid: published}
    room = Room(sender)
    watched = CallerCamera(room)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        watched.register(tasks)
        room.emit("track_published", published, sender)
        room.emit("track_subscribed", track(None), published, sender)
        watched.find()
    assert not published.subscribed
    assert watched.photograph() is None


def test_a_camera_that_was_on_before_is_found() -> None:
    shown = Publication("TR_c", CAMERA)
    CallerCamera(Room(participant("caller", shown))).find()  # type: ignore[arg-type]
    assert shown.subscribed


async def test_a_picture_that_cannot_be_made_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = CallerCamera(Room())  # type: ignore[arg-type]
    watched.take(event(np.zeros((18, 32, 3), np.uint8)))

    def fail(_: object) -> np.ndarray:
        raise ValueError("an unknown buffer type")

    monkeypatch.setattr(camera, "small_jpeg", fail)
    assert watched.photograph() is None
