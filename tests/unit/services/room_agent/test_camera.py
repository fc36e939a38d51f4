"""What of the caller's camera leaves the agent: one small, fresh, upright JPEG."""

import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from PIL import Image

from services.room_agent import camera
from services.room_agent.camera import MAX_BYTES, MAX_SIDE, STALE_US, CallerCamera, small_jpeg

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
