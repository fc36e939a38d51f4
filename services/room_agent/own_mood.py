"""The face's own mood: from the job at first, then whatever the room's metadata says."""

import logging

from pydantic import ValidationError

from proto.messages import Mood, SetMood
from services.room_agent.job import CallJob, RoomState

log = logging.getLogger(__name__)


class OwnMood:
    """What the Actor must be told of one call's face."""

    def __init__(self, job: CallJob) -> None:
        self._session_id = job.call_id
        self._mood = job.mood or Mood()

    def told(self, metadata: str) -> bool:
        """Take the room's metadata; whether it holds a mood. Others may write other things."""
        if not metadata:
            return False
        try:
            self._mood = RoomState.from_metadata(metadata).mood
        except ValidationError:
            log.warning("the room's metadata holds no mood", extra={"characters": len(metadata)})
            return False
        return True

    def message(self, epoch: int) -> SetMood:
        """For the Actor."""
        return SetMood(session_id=self._session_id, epoch=epoch, mood=self._mood)
