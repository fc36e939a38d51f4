"""One call's side of the Thinker: a state machine fed by messages, in one task group.

States: idle; hearing (the caller's turn is open); speculating (it paused: a reply is made in
private); thinking and speaking (a reply was asked for). Hearing goes on beside the others, for a
caller may talk while a reply is being spoken.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Generic, Literal

from proto.message import Message
from proto.messages import (
    Interrupt,
    OpenThinkerSession,
    Transcript,
    TurnBoundary,
    TurnState,
    UserAudio,
    UserFrame,
    UserText,
)
from thinker_server.answer import Answer
from thinker_server.listening import BLOCK_US, ListeningTurn
from thinker_server.mind import E, Mind
from thinker_server.outlet import Outlet, Send
from thinker_server.seeing.glance import Glance
from thinker_server.trace import USER_SPEECH_END

log = logging.getLogger(__name__)

PRE_ROLL_BLOCKS = 40
"""0.8 s heard before `started`: voice activity is only certain some time after the first sound."""
INBOX_MESSAGES = 1024
"""20 s of audio blocks; a session that is further behind loses audio, never commands."""
State = Literal["idle", "hearing", "speculating", "thinking", "speaking"]


class ThinkerSession(Generic[E]):
    """Give it messages with `receive`; `run` works until `close`."""

    def __init__(self, opened: OpenThinkerSession, mind: Mind[E], send: Send) -> None:
        self.session_id = opened.session_id
        self._mind = mind
        self._send = send
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue(INBOX_MESSAGES)
        self._pre_roll: deque[UserAudio] = deque(maxlen=PRE_ROLL_BLOCKS)
        self._listening: ListeningTurn | None = None
        self._answer: Answer[E] | None = None
        self._answer_task: asyncio.Task[None] | None = None
        self._reading_task: asyncio.Task[None] | None = None
        self._glance: Glance | None = None
        self._look_task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def state(self) -> State:
        """What the session does now."""
        if self._answer is not None and self._answer_task and not self._answer_task.done():
            if not self._answer.outlet.released:
                return "speculating"
            return "speaking" if self._answer.exchange.audio_tokens else "thinking"
        return "hearing" if self._listening is not None else "idle"

    def receive(self, message: Message) -> None:
        """Queue a message. Raises asyncio.QueueFull; audio is dropped instead and counted."""
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            if not isinstance(message, UserAudio):
                raise
            self._mind.metrics.dropped_blocks.inc()

    def close(self) -> None:
        """End `run` soon, whatever it does."""
        while self._inbox.full():
            self._inbox.get_nowait()
        self._inbox.put_nowait(None)

    async def run(self) -> None:
        """Work through the messages until closed; then everything of the session is freed."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._read_ahead()
                while (message := await self._inbox.get()) is not None:
                    await self._act_on(message)
                await self._drop_answer(hear_out=False)
                self._stop_listening()
                self._look_away()
                self._stop_reading()
        finally:
            await self._mind.close()

    async def _act_on(self, message: Message) -> None:
        match message:
            case UserAudio():
                self._hear(message)
            case TurnBoundary(phase="started"):
                await self._begin_listening(message)
            case TurnBoundary(phase="paused"):
                await self._speculate(message)
            case TurnBoundary(phase="ended"):
                await self._answer_turn(message)
            case UserText():
                await self._answer_text(message)
            case Interrupt():
                await self._interrupt(message)
            case UserFrame():
                self._look(message)

    # --- seeing ----------------------------------------------------------------------------------

    def _look(self, frame: UserFrame) -> None:
        """A frame comes before the pause or the text that it belongs to."""
        self._look_away()
        if self._mind.sight is not None:
            self._glance = self._mind.sight.glance()
            self._look_task = self._spawn(self._glance.look(frame.jpeg))

    def _look_away(self) -> None:
        """What was seen belongs to no question any more."""
        if self._look_task is not None:
            self._look_task.cancel()
        self._glance = self._look_task = None

    # --- hearing ---------------------------------------------------------------------------------

    def _hear(self, audio: UserAudio) -> None:
        if self._listening is not None:
            if not self._listening.hear(audio.pcm):
                self._mind.metrics.dropped_blocks.inc()
            return
        if self._pre_roll and audio.pts_us > self._pre_roll[-1].pts_us + 2 * BLOCK_US:
            self._pre_roll.clear()  # what lies before a gap belongs to another turn
        self._pre_roll.append(audio)

    async def _begin_listening(self, boundary: TurnBoundary) -> None:
        if self._answer is not None and not self._answer.outlet.released:
            await self._drop_answer()  # speculation, complete or not, about half a turn
        self._look_away()
        if self._listening is not None and self._listening.turn == boundary.turn:
            return  # the caller goes on after a pause
        self._stop_listening()
        mind, turn = self._mind, boundary.turn
        stream = await mind.workers.hear(mind.recogniser.open)
        on_text = partial(self._tell_transcript, boundary.epoch, turn)
        self._listening = ListeningTurn(stream, turn, mind.workers, on_text)
        for block in self._pre_roll:
            self._listening.hear(block.pcm)
        self._pre_roll.clear()
        self._spawn(self._listening.run())
        state = TurnState(
            session_id=self.session_id, epoch=boundary.epoch, turn=turn, state="transcribing"
        )
        await self._send("agent", state)

    async def _tell_transcript(self, epoch: int, turn: int, text: str) -> None:
        message = Transcript(
            session_id=self.session_id, epoch=epoch, turn=turn, text=text, final=False
        )
        await self._send("agent", message)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.stop()
        self._listening = None

    # --- answering -------------------------------------------------------------------------------

    async def _speculate(self, boundary: TurnBoundary) -> None:
        """The caller may be done: answer in private, unless a wanted reply is still being made."""
        if self._listening is None or self.state in ("thinking", "speaking"):
            return
        await self._drop_answer()
        self._start_answer(self._mind.exchange(boundary.turn))

    async def _answer_turn(self, boundary: TurnBoundary) -> None:
        answer = self._answer
        if answer is None or answer.outlet.released:
            await self._drop_answer()
            answer = self._start_answer(self._mind.exchange(boundary.turn))
        answer.exchange.turn = boundary.turn
        self._mind.remember(answer.exchange)
        if answer.heard_all:
            self._stop_listening()
        self._listening = None  # the answer stops it when it has heard it out
        self._pre_roll.clear()
        self._glance = None
        await answer.outlet.release(boundary.epoch, boundary.turn)
        if self._answer_task is not None and self._answer_task.done():
            self._read_ahead()

    async def _answer_text(self, typed: UserText) -> None:
        await self._drop_answer()
        exchange = self._mind.exchange(typed.turn, typed.text.strip())
        self._mind.remember(exchange)
        answer = self._start_answer(exchange)
        self._glance = None
        if exchange.wants_speech:
            self._listening = None  # the answer stops it when it has heard it out
        else:
            self._stop_listening()  # whoever types ends no turn that was begun aloud
        await answer.outlet.release(typed.epoch, typed.turn)

    async def _interrupt(self, interrupt: Interrupt) -> None:
        """Stop, and keep of the reply only what was heard."""
        exchange = self._mind.recall(interrupt.turn)
        if exchange is not None:
            exchange.cut(interrupt.heard_tokens)
        await self._drop_answer()
        self._read_ahead()

    def _start_answer(self, exchange: E) -> Answer[E]:
        """A question that wants speech hears the open turn out."""
        listening = self._listening if exchange.wants_speech else None
        outlet = Outlet(self._send)
        answer = Answer(self.session_id, self._mind, exchange, listening, outlet, self._glance)
        answer.trace.mark(USER_SPEECH_END)
        self._stop_reading()
        self._answer = answer
        self._answer_task = self._spawn(self._make(answer))
        return answer

    async def _make(self, answer: Answer[E]) -> None:
        await answer.make()
        if answer.outlet.released:
            self._read_ahead()

    async def _drop_answer(self, *, hear_out: bool = True) -> None:
        """Stop the reply in the making; one that was wanted is reported as interrupted."""
        answer, task = self._answer, self._answer_task
        self._answer = self._answer_task = None
        if answer is None or task is None or task.done():
            return
        task.cancel()
        await asyncio.wait([task])
        if answer.outlet.released:
            await answer.end("interrupted", hear_out=hear_out)

    # --- reading ahead ---------------------------------------------------------------------------

    def _read_ahead(self) -> None:
        """What the next question will find is read while nobody waits for an answer."""
        self._stop_reading()
        self._reading_task = self._spawn(self._read_known())

    async def _read_known(self) -> None:
        try:
            await self._mind.warm()
        except Exception:  # an answer that fails for the same reason says so
            log.exception("reading ahead failed", extra={"session": self.session_id})

    def _stop_reading(self) -> None:
        """An answer wants the mind; it reads what is left itself."""
        if self._reading_task is not None:
            self._reading_task.cancel()
        self._reading_task = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._tasks is None:
            raise RuntimeError("the session is not running")
        return self._tasks.create_task(work)
