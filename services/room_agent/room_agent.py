"""One call: the engines, the room, the ears and the playout, wired together and kept running.

Every task lives in one TaskGroup; the call ends when the caller is gone, and everything with it.
"""

import asyncio
import logging
from contextlib import suppress

import numpy as np

from proto.message import Message
from proto.messages import AVChunk, Listen, UserAudio
from proto.time_law import HEARING_BLOCK_SAMPLES
from services.room_agent.attributes import NOTICE, PROVENANCE, AttributeWriter
from services.room_agent.breath import Breath
from services.room_agent.call_clock import call_us
from services.room_agent.call_ports import Phase
from services.room_agent.call_room import CallRoom
from services.room_agent.call_session import CallSession
from services.room_agent.captions import Captioner
from services.room_agent.config import AgentConfig
from services.room_agent.conversation import Conversation
from services.room_agent.ears import BLOCK_US, Ears, Models
from services.room_agent.engine_desk import EngineDesk, EngineMaker
from services.room_agent.gateway_line import GatewayLine
from services.room_agent.job import CallJob
from services.room_agent.lifeline import hold_lifeline
from services.room_agent.own_mood import OwnMood
from services.room_agent.playhead import Heard
from services.room_agent.playout import Playout
from services.room_agent.reporter import Reporter
from services.room_agent.sight import Sight
from services.room_agent.turn_detector import TurnDetector, TurnEvent, TurnPhase
from services.room_agent.turn_timing import TurnTiming

log = logging.getLogger(__name__)

WATCH_INTERVAL_S = 0.1
THINKER_WAIT_S = 2.0
DEAF_AFTER_US = 200_000
"""A muted microphone sends nothing; the turn that it cut off must end all the same."""


class CallOver(Exception):
    """Ends the call's tasks; the text says why."""


class RoomAgent:
    """RoomEvents and CallPorts of one call."""

    def __init__(
        self,
        config: AgentConfig,
        job: CallJob,
        room: CallRoom,
        models: Models,
        engines: EngineMaker,
    ) -> None:
        self._config = config
        self._room = room
        self._id = job.call_id
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.joined = asyncio.Event()
        self._left_us = 0
        self._heard_us = call_us()
        self._session = CallSession(job.call_id, self, job.conversation)
        self._gateway = GatewayLine(
            config.gateway(), job.call_id, lambda: self._session.phase.value
        )
        self._reporter = Reporter(room, self._gateway)
        self._transcript = job.transcript
        self._mood = OwnMood(job)
        self._captions = Captioner(room, off=not job.transcript)
        self._attributes = AttributeWriter(room)
        self._sight = Sight(job.call_id, room, self._attributes.set)
        self._playout = Playout(
            room.audio, room.video, config.audio_queue_ms * 1000, self._session.shown, self._grant
        )
        self._detector = TurnDetector(config.turn_tuning())
        self._ears = Ears(models, self._detector, self._turn, lambda: self._session.busy)
        self._breath = Breath(self._session, self._playout, self._detector)
        self._engines = EngineDesk(
            engines,
            self._session,
            self._playout,
            detector=self._detector,
            sight=self._sight,
            attributes=self._attributes,
            mood=self._mood,
        )

    @property
    def filler_blocks(self) -> int:
        """How many 20-ms blocks of silence stood in for late chunks."""
        return self._playout.filler_blocks

    async def run(self) -> str:
        """The whole call; returns why it ended."""
        reason = ""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._engines.start(tasks)
                await self._room.join(self, tasks)
                self.joined.set()
                for name, work in (
                    ("playout", self._playout.run()),
                    ("captions", self._captions.run()),
                    ("attributes", self._attributes.run()),
                    ("reports", self._reporter.run()),
                    ("lifeline", self._lifeline()),
                    ("end-of-turn", self._ears.judge_pauses()),
                    ("watch", self._watch()),
                ):
                    tasks.create_task(work, name=name)
                raise CallOver(await self._over)
        except* CallOver as ended:
            reason = str(ended.exceptions[0])
        finally:
            reply = self._session.reply
            await self._reporter.close(reply.timing if reply is not None else None)
        log.info("call over", extra={"reason": reason, "filler_blocks": self.filler_blocks})
        return reason

    async def _lifeline(self) -> None:
        await hold_lifeline(self._config.gateway(), self._id, self._room.identity)

    # --- RoomEvents ------------------------------------------------------------------------------

    async def listens(self) -> None:
        """The Thinker is there, or is waited for no longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(THINKER_WAIT_S):
                await self._engines.thinker_open.wait()

    def hear(self, pcm: np.ndarray, behind_us: int = 0) -> None:
        """20 ms of the caller, to the Thinker, the detector and the Actor."""
        self._heard_us = call_us()
        self._session.behind_us = behind_us
        pts_us = self._ears.pts_us
        epoch = self._session.epoch
        # Before the turn events that it causes: a turn's last audio comes before its end.
        self.to_thinker(UserAudio(session_id=self._id, epoch=epoch, pts_us=pts_us, pcm=pcm))
        self._ears.hear(pcm)
        self._breath.heard()
        if (features := self._ears.take_features()) is not None:
            speaking = self._detector.phase is not TurnPhase.QUIET
            self.to_actor(
                Listen(session_id=self._id, epoch=epoch, speaking=speaking, features=features)
            )

    def read(self, text: str, name: str = "") -> None:
        """The caller typed; what came before, perhaps to another agent, is not asked again."""
        if self._session.typed(text, name):
            self._detector.reset()

    def page_said(self, topic: str, payload: bytes) -> None:
        """The caller's page told what it saw."""
        self._reporter.page_said(topic, payload)

    def caller_came(self) -> None:
        """A person is here, perhaps again."""
        if self._left_us:
            self._captions.show_again()
        self._left_us = 0

    def caller_left(self) -> None:
        """Nobody is here any more; they may come back."""
        self._left_us = call_us()

    def reconnected(self) -> None:
        """The last words of both sides may not have come through."""
        self._captions.show_again()

    def declared(self, statement: str) -> None:
        """The signed word that both tracks are synthetic."""
        self._attributes.set(PROVENANCE, statement)

    def told(self, metadata: str) -> None:
        """The gateway may have changed the face's mood; a line that is not open is told later."""
        if self._mood.told(metadata):
            self.to_actor(self._mood.message(self._session.epoch))

    def room_closed(self, reason: str) -> None:
        """The room is gone."""
        self.end(f"room closed: {reason}")

    def end(self, reason: str) -> None:
        """Hang up; `run` returns soon."""
        if not self._over.done():
            self._over.set_result(reason)

    # --- CallPorts -------------------------------------------------------------------------------

    def to_thinker(self, message: Message) -> None:
        self._engines.to_thinker(message)

    def to_actor(self, message: Message) -> None:
        self._engines.to_actor(message)

    def show_phase(self, phase: Phase) -> None:
        self._attributes.set("lk.agent.state", phase.value)
        self._sight.phase(phase)

    def show_notice(self, text: str) -> None:
        self._attributes.set(NOTICE, text)

    def show_user_words(self, turn: int, text: str, final: bool) -> None:
        self._captions.show_user_words(turn, text, final)

    def show_reply_words(self, turn: int, text: str) -> None:
        self._captions.show_reply_words(turn, text)

    def end_reply_words(self, turn: int) -> None:
        self._captions.end_reply_words(turn)

    def reply_began(self, timing: TurnTiming) -> None:
        self._reporter.reply_began(timing)

    def report_turn(self, timing: TurnTiming) -> None:
        self._reporter.turn_ended(timing)

    def count_failure(self, code: str) -> None:
        self._gateway.failure(code)

    def remember(self, conversation: Conversation) -> None:
        if not self._transcript:
            conversation = conversation.model_copy(update={"said": ()})  # how far it got, no words
        self._gateway.conversation(conversation)

    def drop_unheard(self) -> None:
        self._playout.drop_unheard()

    def play(self, chunk: AVChunk) -> None:
        self._playout.append(chunk)

    def heard(self, turn: int) -> Heard:
        return self._playout.heard(turn)

    # --- the clockwork ---------------------------------------------------------------------------

    def _turn(self, event: TurnEvent) -> None:
        fields = {"kind": event.kind, "at_us": event.at_us, "voice_us": event.voice_us}
        log.debug("turn event", extra=fields)
        self._session.turn_event(event)

    def _grant(self) -> None:
        self._engines.grant()

    async def _watch(self) -> None:
        """What must happen although nothing comes in."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now = call_us()
            if now - self._heard_us > DEAF_AFTER_US and self._detector.phase is not TurnPhase.QUIET:
                for _ in range(round(WATCH_INTERVAL_S * 1e6) // BLOCK_US):
                    self.hear(np.zeros(HEARING_BLOCK_SAMPLES, np.int16))
                self._heard_us = now - DEAF_AFTER_US
            self._session.check_reply(round(self._config.reply_timeout_s * 1e6))
            if now - self._heard_us > DEAF_AFTER_US:
                self._breath.release()
            self._engines.check_actor(self._config.engine_silence_s)
            if self._left_us and now - self._left_us > self._config.leave_after_s * 1e6:
                self.end("the caller left")
