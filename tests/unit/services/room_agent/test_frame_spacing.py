"""When frames leave, if the loop was late: on virtual time."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from services.room_agent.call_clock import call_us
from services.room_agent.frame_spacing import LEAST_GAP_S, FrameSpacing
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit


class Sent:
    """Numbers of the frames that left, and when, in ms."""

    def __init__(self) -> None:
        self.spacing = FrameSpacing(self._send)
        self.numbers: list[int] = []
        self.at_ms: list[float] = []
        self._began_us = call_us()

    def show(self, number: int) -> None:
        self.spacing.show(np.full((1, 1), number))

    async def until(self, at_ms: float) -> None:
        await asyncio.sleep((at_ms - (call_us() - self._began_us) / 1e3) / 1e3)

    def _send(self, frame: np.ndarray) -> None:
        self.numbers.append(int(frame[0, 0]))
        self.at_ms.append((call_us() - self._began_us) / 1e3)


@virtually
async def test_frames_in_time_leave_at_once() -> None:
    sent = Sent()
    for number in range(25):
        await sent.until(40 * number)
        sent.show(number)
    assert sent.numbers == list(range(25))
    assert sent.at_ms == pytest.approx([40 * n for n in range(25)], abs=0.01)


@virtually
async def test_a_frame_that_was_late_pushes_the_next_one_on_and_it_is_made_up_for() -> None:
    sent = Sent()
    for number, at_ms in enumerate([0, 78, 80, 120, 160]):
        await sent.until(at_ms)
        sent.show(number)
    await sent.until(300)
    assert sent.numbers == [0, 1, 2, 3, 4]
    assert sent.at_ms == pytest.approx([0, 78, 98, 120, 160], abs=0.01)


@virtually
async def test_after_a_long_stall_the_newest_are_shown_and_none_too_near_another() -> None:
    sent = Sent()
    sent.show(0)
    await sent.until(400)
    for number in range(1, 11):
        sent.show(number)
    await sent.until(440)
    sent.show(11)
    await sent.until(480)
    sent.show(12)
    await sent.until(600)
    assert sent.numbers == [0, 1, 9, 10, 11, 12]
    assert sent.at_ms == pytest.approx([0, 400, 420, 440, 460, 480], abs=0.01)
    assert min(after - before for before, after in pairwise(sent.at_ms)) > 1e3 * LEAST_GAP_S - 0.01
