"""The thread in which chunks are made: drains its inbox, steps the most urgent session, repeats.

The event loop never renders and this thread never touches a socket; the two meet in a bounded inbox
and in an `emit` callback. An exception ends the session in which it was raised, no other.
"""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

from actor_server import metrics
from actor_server.callers import Caller
from actor_server.engine import ActorEngine, EngineLoad
from actor_server.errors import ActorError, SpeechRefused
from actor_server.face import Face
from proto.message import Message
from proto.messages import Failure, SessionReady
from proto.wire.clock import now_us, stamped

log = logging.getLogger(__name__)

INBOX_SIZE: Final = 2048
IDLE_WAIT_S: Final = 1.0

Emit = Callable[[Message, Caller | bytes], None]
"""Called from the rendering thread with a message for a session's agent or for another peer."""
Ended = Callable[[Caller], None]
"""Called from the rendering thread when a session is over without having been closed."""


@dataclass(frozen=True)
class Open:
    """A portrait is ready: begin its session."""

    caller: Caller
    face: Face
    seed: int
    epoch: int
    labels: dict[str, str]


@dataclass(frozen=True)
class Deliver:
    """A message for a session, and who sent it."""

    message: Message
    sender: bytes


@dataclass(frozen=True)
class Close:
    """Free a session."""

    session_id: str


class RenderThread:
    """Owns an ActorEngine. `post` and `load` are safe from any thread, the rest stays inside."""

    def __init__(self, engine: ActorEngine, emit: Emit, ended: Ended) -> None:
        self.load = EngineLoad()
        """Replaced, never changed, by the rendering thread: any thread may read it."""
        self._engine = engine
        self._emit = emit
        self._ended = ended
        self._callers: dict[str, Caller] = {}
        self._inbox: queue.SimpleQueue[Open | Deliver | Close | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the chunk that is being made. Blocks for that long."""
        self._inbox.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Messages that the thread has not taken yet."""
        return self._inbox.qsize()

    def post(self, item: Open | Deliver | Close) -> bool:
        """Queue something to do; False when the inbox is full and the item was dropped.

        What frees a session is never dropped.
        """
        if self._inbox.qsize() >= INBOX_SIZE and not isinstance(item, Close):
            return False
        self._inbox.put_nowait(item)
        return True

    def _run(self) -> None:
        while True:
            time_us = now_us()
            turn = self._engine.next_turn(time_us)
            wait_s = IDLE_WAIT_S if turn is None else (turn.at_us - time_us) / 1e6
            if not self._drain(wait_s):
                return
            self.load = self._engine.load()
            time_us = now_us()
            turn = self._engine.next_turn(time_us)
            if turn is not None and turn.at_us <= time_us:
                self._step(turn.session_id)

    def _drain(self, wait_s: float) -> bool:
        """Handle all that waits in the inbox, waiting for the first item; False: stop."""
        try:
            item = self._inbox.get(timeout=wait_s) if wait_s > 0 else self._inbox.get_nowait()
            while item is not None:
                self._handle(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return True
        return False

    def _handle(self, item: Open | Deliver | Close) -> None:
        if isinstance(item, Close):
            self._engine.close(item.session_id)
            self._callers.pop(item.session_id, None)
        elif isinstance(item, Open):
            self._open(item)
        else:
            self._deliver(item)

    def _open(self, item: Open) -> None:
        session_id = item.caller.session_id
        try:
            self._engine.open(session_id, item.face, item.seed, item.epoch)
        except ActorError as error:
            self._fail(session_id, error, item.caller)
            self._ended(item.caller)
            return
        except Exception:  # the session boundary: one call's fault ends that call
            log.exception("a session could not be opened", extra={"session": session_id})
            self._engine.close(session_id)
            self._fail(session_id, _broken(), item.caller)
            self._ended(item.caller)
            return
        self._callers[session_id] = item.caller
        ready = SessionReady(
            session_id=session_id, epoch=item.epoch, engine="actor", labels=item.labels
        )
        self._emit(ready, item.caller)

    def _deliver(self, item: Deliver) -> None:
        session_id = item.message.session_id
        try:
            self._engine.deliver(session_id, item.message, now_us())
        except SpeechRefused as error:
            log.warning("speech refused", extra={"session": session_id, "reason": str(error)})
            self._fail(session_id, error, item.sender)
        except Exception:  # noqa: BLE001 - the session boundary: one call's fault ends that call
            self._end(session_id)

    def _step(self, session_id: str) -> None:
        started_ns = perf_counter_ns()
        try:
            chunk = self._engine.step(session_id, now_us())
            work_us = (perf_counter_ns() - started_ns) // 1000
            self._engine.record_work(session_id, work_us, made=chunk is not None)
        except Exception:  # noqa: BLE001 - the session boundary: one call's fault ends that call
            self._end(session_id)
            return
        metrics.PASS_SECONDS.observe(work_us / 1e6)
        if chunk is not None:
            self._emit(stamped(chunk, "actor_decoded"), self._callers[session_id])

    def _end(self, session_id: str) -> None:
        """Close a session that raised, and tell its agent. Called while handling the exception."""
        log.exception("a session failed", extra={"session": session_id})
        self._engine.close(session_id)
        caller = self._callers.pop(session_id)
        self._fail(session_id, _broken(), caller)
        self._ended(caller)

    def _fail(self, session_id: str, error: ActorError, whom: Caller | bytes) -> None:
        failure = Failure(
            session_id=session_id, code=error.code, message=str(error), retryable=error.retryable
        )
        self._emit(failure, whom)


def _broken() -> ActorError:
    error = ActorError("the face of this call stopped because of an error; call again")
    error.retryable = True
    return error
