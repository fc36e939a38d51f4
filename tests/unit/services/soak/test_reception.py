"""Nothing that the browser counted between two samples is lost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.callbench.recording import CROP_PIXELS, THUMB_PIXELS, CallRecording, Frames
from services.callbench.transport import NTP_TO_UNIX_S
from services.callbench.waveform import Waveform
from services.soak.reception import ReceptionMeter

pytestmark = pytest.mark.unit


def window(at_s: list[float], presented: list[int], **counted: float) -> CallRecording:
    """What one half minute brought. Counters are of the video unless they are samples."""
    row: dict[str, Any] = dict.fromkeys(
        (
            "freezeCount",
            "totalFreezesDuration",
            "packetsLost",
            "concealedSamples",
            "silentConcealedSamples",
            "estimatedPlayoutTimestamp",
            "jitterBufferDelay",
            "jitterBufferEmittedCount",
            "packetsReceived",
        ),
        None,
    )
    rows = [row | {"at": 1.0, "kind": kind} | counted for kind in ("audio", "video")]
    frames = Frames(
        np.array(at_s),
        np.array(presented, np.int64),
        256,
        256,
        np.zeros((0, CROP_PIXELS, CROP_PIXELS), np.uint8),
        np.zeros((0, THUMB_PIXELS, THUMB_PIXELS), np.uint8),
    )
    return CallRecording(Waveform(np.zeros(0, np.float32), 48_000), frames, tuple(rows), (), ())


def test_counters_are_told_by_what_they_gained() -> None:
    meter = ReceptionMeter()
    first = meter.read(window([0.0, 1.0], [0, 25], freezeCount=2, concealedSamples=4800))
    second = meter.read(
        window([2.0], [50], freezeCount=3, concealedSamples=9600, silentConcealedSamples=2400)
    )
    assert (first.freezes, second.freezes) == (2, 1)
    assert first.concealed_ms == pytest.approx(100)
    assert second.concealed_ms == pytest.approx(50)


def test_how_long_the_browser_held_what_it_got_is_of_this_half_minute_alone() -> None:
    meter = ReceptionMeter()
    first = meter.read(window([0.0], [0], jitterBufferDelay=10.0, jitterBufferEmittedCount=100))
    second = meter.read(window([1.0], [25], jitterBufferDelay=14.0, jitterBufferEmittedCount=200))
    nothing = meter.read(window([2.0], [50], jitterBufferDelay=14.0, jitterBufferEmittedCount=200))
    assert (first.sound_held_ms, first.picture_held_ms) == (pytest.approx(100), pytest.approx(100))
    assert second.picture_held_ms == pytest.approx(40)
    assert nothing.sound_held_ms is None


def test_a_new_track_counts_from_zero() -> None:
    meter = ReceptionMeter()
    meter.read(window([0.0], [0], freezeCount=5))
    assert meter.read(window([1.0], [25], freezeCount=1)).freezes == 1


def test_a_picture_that_stands_still_between_two_samples_lowers_the_rate() -> None:
    meter = ReceptionMeter()
    meter.read(window([0.0, 1.0], [0, 25]))
    after = meter.read(window([3.0, 4.0], [26, 51]))
    assert after.fps == pytest.approx(26 / 3)


def test_readings_of_the_offset_are_kept_but_a_samples_first_and_those_at_the_beginning() -> None:
    call = window([0.0], [0])
    rows = [
        row
        | {
            "at": 1e3 * second,
            "estimatedPlayoutTimestamp": 1e3 * (second + NTP_TO_UNIX_S) - late_ms * second,
            "packetsReceived": 50 * second,
        }
        for second in range(1, 7)
        for row, late_ms in zip(call.transport, (0, 10), strict=True)
    ]
    measured = replace(call, transport=tuple(rows))
    meter = ReceptionMeter()
    first, second = meter.read(measured), meter.read(measured)
    assert first.av_offsets_ms == pytest.approx([30, 40, 50, 60])
    assert second.av_offsets_ms == pytest.approx([20, 30, 40, 50, 60])
    assert (second.av_offset_ms, second.av_offset_abs_p95_ms) == pytest.approx((40, 58))


def test_no_picture_has_no_rate() -> None:
    reception = ReceptionMeter().read(window([], []))
    assert reception.fps is None
    assert reception.av_offset_ms is None
