"""What a call tells its engines about its turns."""

from typing import Literal

from proto.messages import Interrupt, TurnBoundary, UserText
from services.room_agent.call_ports import CallPorts
from services.room_agent.playhead import Heard


class Orders:
    """Of one call; `epoch` and `turn` are those of the caller's turn or of its reply."""

    def __init__(self, session_id: str, ports: CallPorts) -> None:
        self._id = session_id
        self._ports = ports

    def boundary(self, epoch: int, turn: int, phase: Literal["started", "paused", "ended"]) -> None:
        """The caller's voice began, paused or ended."""
        self._ports.to_thinker(
            TurnBoundary(session_id=self._id, epoch=epoch, turn=turn, phase=phase)
        )

    def answer(self, epoch: int, turn: int, text: str) -> None:
        """The caller wrote this, or it is asked again."""
        self._ports.to_thinker(UserText(session_id=self._id, epoch=epoch, turn=turn, text=text))

    def cut_off(self, epoch: int, reply: Heard) -> None:
        """A reply ends here, as much of it was heard."""
        interrupt = self._interrupt(epoch, reply)
        self._ports.to_thinker(interrupt)
        self._ports.to_actor(interrupt)

    def void_before(self, epoch: int, turn: int) -> None:
        """To an Actor that is new: speech of older epochs may be on its way."""
        self._ports.to_actor(self._interrupt(epoch, Heard(turn, 0, -1)))

    def _interrupt(self, epoch: int, reply: Heard) -> Interrupt:
        return Interrupt(
            session_id=self._id,
            epoch=epoch,
            turn=reply.turn,
            heard_tokens=reply.tokens,
            last_shown_chunk=reply.last_shown_chunk,
        )
