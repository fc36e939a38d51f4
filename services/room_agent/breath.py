"""The avatar falls silent at the first voice over its words, and goes on after a cough. Pure."""

from services.room_agent.call_clock import call_us
from services.room_agent.call_ports import Phase
from services.room_agent.call_session import CallSession
from services.room_agent.playout import Playout
from services.room_agent.turn_detector import TurnDetector

LONGEST_BREATH_US = 600_000
"""What is no question after so long is the television."""


class Breath:
    """Held while the detector suspects a voice in the reply."""

    def __init__(self, session: CallSession, playout: Playout, detector: TurnDetector) -> None:
        self._session = session
        self._playout = playout
        self._detector = detector
        self._since_us = 0

    def heard(self) -> None:
        """20 ms of the caller have been looked at."""
        if not (self._session.phase is Phase.SPEAKING and self._detector.suspects):
            self._since_us = 0
            self.release()
            return
        self._since_us = self._since_us or call_us()
        if call_us() - self._since_us < LONGEST_BREATH_US:
            self._playout.hold()
            self._session.held(self._since_us)
        else:
            self.release()

    def release(self) -> None:
        """Go on where the words stopped."""
        self._playout.resume()
        self._session.held(0)
