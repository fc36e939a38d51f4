"""Lets the Thinker look through the caller's camera: one small picture with each question.

Only when the Thinker has eyes and the caller has switched the camera on, and only when a question
pauses, ends or is typed; the page is told, so that the caller is. Nothing is kept.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from proto.message import Message
from proto.messages import TurnBoundary, UserFrame, UserText
from services.room_agent.call_clock import call_us
from services.room_agent.call_ports import Phase

LOOKS = "xs.looks"
"""The avatar's attribute while it answers with what it saw; empty otherwise."""


class Camera(Protocol):
    """What the caller shows."""

    def photograph(self) -> np.ndarray | None:
        """A JPEG file's bytes (N,) uint8 of this moment; None while the camera is off."""
        ...


class Sight:
    """Give it the messages to the Thinker before they go; it says what must go first."""

    def __init__(self, call_id: str, camera: Camera, show: Callable[[str, str], None]) -> None:
        self.has_eyes = False
        self._id = call_id
        self._camera = camera
        self._show = show
        self._looked_at_turn = -1

    def before(self, message: Message) -> UserFrame | None:
        """The picture that goes before a message about the caller's turn."""
        match message:
            case TurnBoundary(phase="started"):
                self._looked_at_turn = -1  # goes on after a pause: looks again at the next one
            case TurnBoundary(turn=turn) | UserText(turn=turn):
                return self._look(message.epoch, turn)
        return None

    def phase(self, phase: Phase) -> None:
        """The avatar listens again: what it saw has been answered."""
        if phase is Phase.LISTENING:
            self._show(LOOKS, "")

    def _look(self, epoch: int, turn: int) -> UserFrame | None:
        if not self.has_eyes or turn == self._looked_at_turn:
            return None
        if (jpeg := self._camera.photograph()) is None:
            return None
        self._looked_at_turn = turn
        self._show(LOOKS, "camera")
        return UserFrame(session_id=self._id, epoch=epoch, pts_us=call_us(), jpeg=jpeg)
