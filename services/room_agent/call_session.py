"""The conversation law of one call: turns, epochs, who speaks, what was heard. Pure.

It reacts to the caller, the engines and the playout, and acts through `CallPorts`; it knows no
socket and no room. Only here are epochs raised: at each start of a reply and at each interrupt.
"""

import logging

from proto.message import Message
from proto.messages import AVChunk, Failure, HistoryTurn, TextDelta, Transcript, TurnEnd, TurnState
from proto.time_law import FRAME_US
from services.room_agent.call_clock import call_us
from services.room_agent.call_ports import CallPorts, Phase
from services.room_agent.conversation import Conversation, History, Role
from services.room_agent.orders import Orders
from services.room_agent.owed import Apologise, AskAgain, Owed
from services.room_agent.playhead import Block
from services.room_agent.reply import Reply
from services.room_agent.turn_detector import TurnEvent
from services.room_agent.turn_notice import TurnNotice
from services.room_agent.turn_timing import Outcome, TurnTiming

log = logging.getLogger(__name__)

EPOCH_MARGIN = 1_000
"""An agent that takes over counts epochs from here: the one that died had raised some untold."""


class CallSession:
    """One call. Every method is an event; none waits."""

    def __init__(
        self, session_id: str, ports: CallPorts, earlier: Conversation | None = None
    ) -> None:
        self.id = session_id
        self._ports = ports
        self._orders = Orders(session_id, ports)
        self._notice = TurnNotice(ports.show_notice)
        self._paused_us = 0
        self._owed = Owed()
        self._said = History()
        self.behind_us = 0
        """How long ago the caller said what is heard now: a recording is heard late."""
        self.turn = 0
        self.epoch = self._floor = 0
        self.phase = Phase.INITIALIZING
        self.reply: Reply | None = None
        if earlier is not None:
            self._take_over(earlier)

    def _take_over(self, earlier: Conversation) -> None:
        self.turn = earlier.turn
        self.epoch = self._floor = earlier.epoch + EPOCH_MARGIN
        self._said = History(earlier.said, earlier.read)
        self._owed.taken_over(earlier.said[-1].text if earlier.asked and earlier.said else "")

    @property
    def history(self) -> list[HistoryTurn]:
        """What a Thinker is told of the conversation: all but a question that `go_on` will ask."""
        waits = bool(self._owed.question) and self.reply is not None and self.reply.awaited
        return self._said.turns[:-1] if waits or self._owed.will_ask else self._said.turns

    @property
    def busy(self) -> bool:
        """Whether a reply is on its way or sounds: only real speech interrupts then."""
        return self.reply is not None

    @property
    def expects_speech(self) -> bool:
        """Whether chunks of speech are on their way from the Actor."""
        reply = self.reply
        return reply is not None and reply.expected and not reply.last_chunk_came

    def advance(self, phase: Phase) -> None:
        """Move to another phase and show it."""
        if phase is not self.phase:
            self.phase = phase
            self._ports.show_phase(phase)

    # --- the caller ------------------------------------------------------------------------------

    def turn_event(self, event: TurnEvent) -> None:
        """The caller's voice began, paused, went on or ended."""
        match event.kind:
            case "started":
                self._notice.clear()
                self.interrupt(self._said_us(event, event.voice_us))
                self._paused_us = 0
                self._owed.asked()
                self.turn += 1
                self.advance(Phase.LISTENING)
                self._orders.boundary(self.epoch, self.turn, "started")
            case "resumed":
                self._orders.boundary(self.epoch, self.turn, "started")
            case "paused":
                self._paused_us = call_us() - self.behind_us
                self._orders.boundary(self.epoch, self.turn, "paused")
            case "ended":
                self._begin_reply(self._said_us(event, event.voice_end_us))
                self._orders.boundary(self.epoch, self.turn, "ended")

    def _said_us(self, event: TurnEvent, audio_us: int) -> int:
        """When a moment of the caller's audio was, on the call's clock."""
        return call_us() - self.behind_us - (event.at_us - audio_us)

    def held(self, since_us: int) -> None:
        """The answer has been silent since a voice was detected; 0: it goes on."""
        if self.reply is not None:
            self.reply.timing.held_us = since_us

    def typed(self, text: str, name: str = "") -> bool:
        """The caller wrote; what sounds is cut off. False: it was read before, nothing happens."""
        if name in self._said.read:
            return False
        self._notice.clear()
        self.interrupt()
        self._owed.asked(text)
        self.turn += 1
        self._remember("user", text, turn=self.turn, name=name)
        self._ask(text)
        return True

    def _ask(self, text: str) -> None:
        self._begin_reply(call_us(), typed=True)
        self._orders.answer(self.epoch, self.turn, text)

    def interrupt(self, barge_in_us: int = 0, outcome: Outcome = "interrupted") -> None:
        """Cut off the reply, if there is one: silence now, and a new epoch everywhere.

        `barge_in_us`: when the caller's voice that cut it off began to reach the agent.
        """
        if (reply := self.reply) is None:
            return
        self.reply = None
        heard = self._ports.heard(reply.turn)
        self.epoch += 1
        self._floor = self.epoch
        self._ports.drop_unheard()
        self._orders.cut_off(self.epoch, heard)
        reply.timing.mark("interrupted_us", call_us())
        reply.timing.barge_in_us = barge_in_us
        reply.timing.outcome = outcome
        self._finish(reply, heard.tokens)

    def _begin_reply(self, voice_end_us: int, *, typed: bool = False) -> None:
        self.epoch += 1
        timing = TurnTiming(self.turn, self.epoch, voice_end_us, call_us(), typed)
        timing.paused_us = 0 if typed else self._paused_us
        self.reply = Reply(self.turn, self.epoch, timing, touched_us=call_us())
        self.advance(Phase.THINKING)

    # --- the engines -----------------------------------------------------------------------------

    def thinker_said(self, message: Message) -> None:
        """A message of the Thinker."""
        match message:
            case Transcript():
                self._transcript(message)
            case Failure():
                self._failed(message)
            case TextDelta() | TurnState() | TurnEnd():
                self._about_reply(message)

    def actor_said(self, message: Message) -> None:
        """A message of the Actor."""
        match message:
            case AVChunk():
                self._chunk(message)
            case Failure():
                self._failed(message)

    def accepts(self, chunk: AVChunk) -> bool:
        """Whether a chunk is newer than the last interrupt."""
        return chunk.epoch >= self._floor

    def actor_is_new(self) -> None:
        """The Actor's session was opened anew: it must know which speech is void."""
        if self.epoch:
            self._floor = self.epoch
            self._orders.void_before(self.epoch, self.turn)

    def thinker_lost(self) -> None:
        """What was thought is still said; an answer that was not is broken off."""
        if self.reply is not None and not self.reply.thought:
            self._break_off(self.reply)

    def actor_lost(self) -> None:
        """The reply cannot go on, the call does."""
        if self.reply is not None:
            self._break_off(self.reply)

    def go_on(self) -> None:
        """Both engines are there again: answer what is owed, or apologise."""
        if self.reply is not None and self.reply.awaited:
            self._break_off(self.reply)  # what was asked meanwhile reached nobody
        match self._owed.settle():
            case AskAgain(question):
                self._ask(question)
            case Apologise(text):
                self._notice.tell(text)
                self.advance(Phase.LISTENING)

    def _break_off(self, reply: Reply) -> None:
        """A caller who heard a part of it is not told all of it again."""
        self.interrupt(outcome="failed")
        self._owed.broke_off(began=reply.began)
        if reply.began:
            self.advance(Phase.LISTENING)

    def _transcript(self, message: Transcript) -> None:
        self._ports.show_user_words(message.turn, message.text, message.final)
        if message.final:
            self._owed.understood(message.text, late=message.turn < self.turn)
        if message.final and message.text:
            self._remember("user", message.text, turn=message.turn)

    def _about_reply(self, message: TextDelta | TurnState | TurnEnd) -> None:
        reply = self.reply
        if reply is None or not reply.is_of(message):
            return
        reply.told(message, call_us())
        if isinstance(message, TurnEnd):
            if message.reason == "failed" and not self._notice.told:
                self._notice.tell("The answer failed. Please say that again.")
            if reply.silent:
                self._finish(reply, 0)
                self.advance(Phase.LISTENING)

    def _chunk(self, chunk: AVChunk) -> None:
        reply = self.reply
        if reply is not None and reply.is_of(chunk) and reply.came(chunk, call_us()):
            self._ports.drop_unheard()  # idle face: the first word does not wait behind it
        self._ports.play(chunk)

    def _failed(self, failure: Failure) -> None:
        log.warning("engine failure", extra={"code": failure.code, "reason": failure.message})
        self._ports.count_failure(failure.code)
        self._notice.tell(failure.message)

    # --- the playout -----------------------------------------------------------------------------

    def shown(self, block: Block) -> None:
        """A block begins to sound now."""
        if self.phase is Phase.INITIALIZING and block.chunk is not None:
            self.advance(Phase.LISTENING)
        reply, chunk = self.reply, block.chunk
        if reply is None:
            return
        if chunk is None:
            reply.timing.late_us += FRAME_US if reply.began else 0
            return
        if not reply.is_of(chunk):
            return
        if block.speaks:
            self._sounds(reply, block.token)
        if block.ends_token and reply.is_over(block.token, block.is_last):
            self._complete(reply)

    def _sounds(self, reply: Reply, token: int) -> None:
        reply.touched_us = call_us()
        if not reply.began:
            reply.began = True
            reply.timing.mark("first_shown_us", call_us())
            self._ports.reply_began(reply.timing)
            self.advance(Phase.SPEAKING)
            self._owed.answered()
            self._tell()
        if words := reply.words_until(token):
            self._ports.show_reply_words(reply.turn, words)

    def check_reply(self, timeout_us: int) -> None:
        """Give up a reply to which nothing happened for so long."""
        if (reply := self.reply) is not None and call_us() - reply.touched_us > timeout_us:
            log.warning("reply given up", extra={"turn": reply.turn, "began": reply.began})
            if not reply.began:
                self._notice.tell("No answer came. Please try again.")
            self.interrupt(outcome="failed")
            self.advance(Phase.LISTENING)

    def _complete(self, reply: Reply) -> None:
        if rest := reply.words_until(2**31):
            self._ports.show_reply_words(reply.turn, rest)
        self._finish(reply, reply.total_tokens or self._ports.heard(reply.turn).tokens)
        self.advance(Phase.LISTENING)

    def _finish(self, reply: Reply, heard_tokens: int) -> None:
        self.reply = None
        reply.timing.heard_tokens = heard_tokens
        if reply.said:
            self._ports.end_reply_words(reply.turn)
            self._remember("assistant", reply.said)
        self._ports.report_turn(reply.timing)

    def _remember(self, role: Role, text: str, *, turn: int = 0, name: str = "") -> None:
        self._said.add(role, text, turn=turn, name=name)
        self._tell()

    def _tell(self) -> None:
        asked = bool(self._owed.unanswered)
        self._ports.remember(Conversation.of(self.turn, self.epoch, self._said, asked=asked))
