"""A call's two engines: what they say, what they are told, and whether they are there."""

import asyncio
import logging
from collections.abc import Callable

from proto.message import Message
from proto.messages import AVChunk, Grant, Interrupt, SessionReady
from services.room_agent.attributes import LABELS, NOTICE, AttributeWriter
from services.room_agent.call_clock import call_us
from services.room_agent.call_session import CallSession
from services.room_agent.credit import CreditLaw
from services.room_agent.engine_link import LinkState
from services.room_agent.engines import EngineEvents, Engines, SessionMemory
from services.room_agent.own_mood import OwnMood
from services.room_agent.playout import Playout
from services.room_agent.sight import Sight
from services.room_agent.turn_detector import TurnDetector

log = logging.getLogger(__name__)

ENGINE_AWAY = {
    "thinker": "The avatar cannot think right now. Trying again...",
    "actor": "The avatar's picture has stopped. Trying again...",
}
"""What a caller reads while an engine is away."""

EngineMaker = Callable[[SessionMemory, EngineEvents], Engines]
"""Makes the lines of a call: they need the conversation, which needs them."""


class EngineDesk:
    """EngineEvents of one call."""

    def __init__(
        self,
        engines: EngineMaker,
        session: CallSession,
        playout: Playout,
        *,
        detector: TurnDetector,
        sight: Sight,
        attributes: AttributeWriter,
        mood: OwnMood,
    ) -> None:
        self._session = session
        self._playout = playout
        self._detector = detector
        self._sight = sight
        self._attributes = attributes
        self._mood = mood
        self._credit = CreditLaw()
        self._away = {"thinker"}
        self._actor_open = False
        self.thinker_open = asyncio.Event()
        self._lines = engines(session, self)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Open both sessions, and keep them open until the group ends."""
        tasks.create_task(self._lines.actor.run(), name="actor")
        tasks.create_task(self._lines.thinker.run(), name="thinker")

    # --- what they say ---------------------------------------------------------------------------

    def thinker_said(self, message: Message) -> None:
        """A message of the Thinker."""
        if isinstance(message, SessionReady):
            self._sight.has_eyes = bool(message.labels.get("eyes"))
            for label, attribute in LABELS.items():
                if label in message.labels:
                    self._attributes.set(attribute, message.labels[label])
        self._session.thinker_said(message)
        self.grant()

    def actor_said(self, message: Message) -> None:
        """A message of the Actor."""
        if isinstance(message, AVChunk) and not self._session.accepts(message):
            return
        if isinstance(message, AVChunk):
            self._credit.arrived(call_us())
        self._session.actor_said(message)
        self.grant()

    # --- what they are told ----------------------------------------------------------------------

    def to_thinker(self, message: Message) -> None:
        """Send it, and before it what the caller shows, if it is about that."""
        if (frame := self._sight.before(message)) is not None:
            self._lines.thinker.send(frame)
        self._lines.thinker.send(message)

    def to_actor(self, message: Message) -> None:
        """Send it; an interrupt takes the Actor's credit back."""
        self._lines.actor.send(message)
        if isinstance(message, Interrupt):
            self._credit.reset()
            self.grant()

    def grant(self) -> None:
        """Let the Actor make as many chunks as the playout needs now."""
        if not self._actor_open:
            return  # it would not hear, and owe nothing
        session, playout = self._session, self._playout
        credit = self._credit.grant(
            playout.chunks_ahead, playout.ahead_us, session.expects_speech, call_us()
        )
        if credit:
            self.to_actor(Grant(session_id=session.id, epoch=session.epoch, credit=credit))

    # --- whether they are there ------------------------------------------------------------------

    def thinker_state(self, state: LinkState) -> None:
        """The line to the Thinker changed."""
        self._detector.reset()  # a turn of which it heard a part is no turn
        if state is LinkState.OPEN:
            self.thinker_open.set()
        else:
            self.thinker_open.clear()
        if state is LinkState.LOST:
            self._session.thinker_lost()
        self._announce("thinker", state)

    def actor_state(self, state: LinkState) -> None:
        """The line to the Actor changed. A new session knows no epoch and owes no chunk."""
        self._credit.reset()
        self._actor_open = state is LinkState.OPEN
        if state is LinkState.LOST:
            self._session.actor_lost()
        if state is LinkState.OPEN:
            self._playout.renumber()
            self._session.actor_is_new()
            self.to_actor(self._mood.message(self._session.epoch))
            self.grant()
        self._announce("actor", state)

    def check_actor(self, longest_silence_s: float) -> None:
        """Give an Actor up that has owed a chunk for so long."""
        if self._credit.waiting_us(call_us()) > longest_silence_s * 1e6:
            self._lines.actor.lose("no chunk came")

    def _announce(self, engine: str, state: LinkState) -> None:
        log.info("engine line", extra={"engine": engine, "state": state.value})
        if state is LinkState.LOST:
            self._away.add(engine)
            self._attributes.set(NOTICE, ENGINE_AWAY[engine])
        elif state is LinkState.OPEN and engine in self._away:
            self._away.discard(engine)
            self._attributes.set(NOTICE, "".join(ENGINE_AWAY[name] for name in self._away))
            if not self._away:
                self._session.go_on()
