"""The thread in which audio ids become speech, in front of the rendering thread.

It takes all that the rendering thread takes and passes it on: parts of replies when they are
decoded, everything else at once. Decoding on a GPU takes longer than a chunk may wait, so it must
not happen where chunks are made.
"""

import logging
import queue
import threading
from time import perf_counter_ns
from typing import Final

from actor_server import metrics
from actor_server.errors import ActorError, SpeechRefused
from actor_server.render_thread import Close, Deliver, Emit, Open, RenderThread
from actor_server.speech.engine import SpeechEngine
from actor_server.speech.stream import SpeechDecoder
from proto.messages import Failure, HiddenChunk, Interrupt
from proto.time_law import CHUNK_AUDIO_TOKENS
from proto.wire.clock import stamped

log = logging.getLogger(__name__)

INBOX_SIZE: Final = 2048
IDLE_WAIT_S: Final = 1.0


def inlet(
    decoder: SpeechDecoder | None, render: RenderThread, emit: Emit
) -> "RenderThread | SpeechThread":
    """Where messages go in: the rendering thread, or the decoder in front of it."""
    return render if decoder is None else SpeechThread(SpeechEngine(decoder), render, emit)


class SpeechThread:
    """Owns a SpeechEngine and starts and stops the thread behind it. `post`: from any thread."""

    def __init__(self, engine: SpeechEngine, render: RenderThread, emit: Emit) -> None:
        self._engine = engine
        self._render = render
        self._emit = emit
        self._senders: dict[str, bytes] = {}
        """Who sent a session's reply, and must hear if it cannot be decoded."""
        self._inbox: queue.SimpleQueue[Deliver | Close | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="speech", daemon=True)

    def start(self) -> None:
        """Start the rendering thread too."""
        self._render.start()
        self._thread.start()

    def stop(self) -> None:
        """End after the block and the chunk that are being made. Blocks for that long."""
        self._inbox.put(None)
        self._thread.join()
        self._render.stop()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self._render.alive

    def post(self, item: Open | Deliver | Close) -> bool:
        """Queue something to do; False when an inbox is full and the item was dropped."""
        if isinstance(item, Open):
            return self._render.post(item)
        if isinstance(item, Deliver) and not isinstance(item.message, HiddenChunk | Interrupt):
            return self._render.post(item)
        if self._inbox.qsize() >= INBOX_SIZE and not isinstance(item, Close):
            return False
        self._inbox.put_nowait(item)
        if isinstance(item, Deliver) and isinstance(item.message, HiddenChunk):
            return True
        return self._render.post(item)

    def _run(self) -> None:
        while self._drain():
            session_id = self._engine.next_session()
            if session_id is not None:
                self._step(session_id)

    def _drain(self) -> bool:
        """Handle all that waits in the inbox; wait for it if there is no work. False: stop."""
        try:
            if self._engine.next_session() is None:
                item = self._inbox.get(timeout=IDLE_WAIT_S)
            else:
                item = self._inbox.get_nowait()
            while item is not None:
                self._handle(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return True
        return False

    def _handle(self, item: Deliver | Close) -> None:
        if isinstance(item, Close):
            self._engine.close(item.session_id)
            self._senders.pop(item.session_id, None)
            return
        message = item.message
        assert isinstance(message, HiddenChunk | Interrupt)
        if isinstance(message, HiddenChunk):
            self._senders[message.session_id] = item.sender
        try:
            self._engine.deliver(message)
        except SpeechRefused as error:
            log.warning(
                "speech refused", extra={"session": message.session_id, "reason": str(error)}
            )
            self._fail(message.session_id, error)
        except Exception:  # noqa: BLE001 - the session boundary: one reply's fault ends that reply
            self._break_off(message.session_id)

    def _step(self, session_id: str) -> None:
        started_ns = perf_counter_ns()
        try:
            parts = self._engine.step(session_id)
        except Exception:  # noqa: BLE001 - the session boundary: one reply's fault ends that reply
            self._break_off(session_id)
            return
        metrics.SPEECH_BLOCK_SECONDS.observe((perf_counter_ns() - started_ns) / 1e9)
        for part in parts:
            self._pass_on(part)

    def _break_off(self, session_id: str) -> None:
        """Called while handling the exception."""
        log.exception("speech could not be decoded", extra={"session": session_id})
        self._fail(session_id, ActorError("the speech of this reply could not be decoded"))
        if (part := self._engine.break_off(session_id)) is not None:
            self._pass_on(part)

    def _pass_on(self, part: HiddenChunk) -> None:
        if _completes_first_chunk(part):
            part = stamped(part, "actor_speech_decoded")
        if not self._render.post(Deliver(part, self._senders[part.session_id])):
            log.error(
                "the rendering thread is behind: dropped speech", extra={"session": part.session_id}
            )

    def _fail(self, session_id: str, error: ActorError) -> None:
        failure = Failure(
            session_id=session_id, code=error.code, message=str(error), retryable=error.retryable
        )
        self._emit(failure, self._senders[session_id])


def _completes_first_chunk(part: HiddenChunk) -> bool:
    """Whether the reply's first chunk can be made from now on: its first block is too short."""
    decoded = part.first_token + part.audio_tokens
    return part.first_token < CHUNK_AUDIO_TOKENS and (decoded >= CHUNK_AUDIO_TOKENS or part.final)
