"""Where portraits wait: one at a time, calls before checks, never on the event loop.

Looking at a picture and building its face take a tenth of a second or more of one core; while that
happens the running calls go on in the rendering thread.
"""

import asyncio
import hashlib
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from actor_server.errors import PortraitDeskBusy
from actor_server.face import Face, FaceStudio, Verdict

log = logging.getLogger(__name__)

QUEUE_SIZE: Final = 16
CALL, CHECK, PREPARE = 0, 1, 2
"""Order of service: a caller waits for a face, a person for a verdict, nobody for a preparation."""
FACES_IN_MEMORY: Final = 16
"""About 1.5 MB each; the default avatars fit."""

T = TypeVar("T")


@dataclass(order=True)
class _Job:
    rank: int
    number: int
    work: Callable[[], Any] = field(compare=False)
    answer: "asyncio.Future[Any]" = field(compare=False)
    face_of: str = field(default="", compare=False)
    """The key of the picture whose face this makes."""


class PortraitDesk:
    """Serves checks and faces from a bounded queue. `run` must be running."""

    def __init__(self, studio: FaceStudio, timeout_s: float) -> None:
        self._studio = studio
        self._timeout_s = timeout_s
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue(QUEUE_SIZE)
        self._numbers = itertools.count()
        self._faces: OrderedDict[str, Face] = OrderedDict()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="portrait")

    async def run(self) -> None:
        """Serve jobs until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                job = await self._jobs.get()
                if job.answer.cancelled():
                    continue
                running = loop.run_in_executor(self._executor, job.work)
                await asyncio.wait([running])
                if job.face_of and running.exception() is None:
                    self._remember(job.face_of, running.result())  # before the next job asks
                _copy_outcome(running, job.answer)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def check(self, image: bytes) -> tuple[Verdict, bytes | None]:
        """The verdict on an image file and its crop as a PNG. Raises PortraitDeskBusy.

        The crop is what calls will be opened with: its face is built while nobody waits for it.
        """
        verdict, crop = await self._ask(CHECK, lambda: _judged(self._studio, image))
        if crop is not None and not self._jobs.full():
            key = content_key(crop)
            self._queue(PREPARE, lambda: self._built(key, crop), key).add_done_callback(_prepared)
        return verdict, crop

    async def face(self, image: bytes) -> Face:
        """The face of an image file. Raises PortraitRefused or PortraitDeskBusy."""
        key = content_key(image)
        known = self._faces.get(key)
        if known is not None:
            self._faces.move_to_end(key)
            return known
        return await self._ask(CALL, lambda: self._built(key, image), key)

    def _built(self, key: str, image: bytes) -> Face:
        """In the executor, where a face may have been made while this waited its turn."""
        known = self._faces.get(key)
        return self._studio.build(image) if known is None else known

    async def _ask(self, rank: int, work: Callable[[], T], face_of: str = "") -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._queue(rank, work, face_of)
        except asyncio.QueueFull:
            raise PortraitDeskBusy("too many portraits are waiting; try again shortly") from None
        except TimeoutError:
            raise PortraitDeskBusy(
                f"the portrait was not ready within {self._timeout_s:g} s; try a smaller picture"
            ) from None

    def _queue(self, rank: int, work: Callable[[], T], face_of: str = "") -> "asyncio.Future[T]":
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(_Job(rank, next(self._numbers), work, answer, face_of))
        return answer

    def _remember(self, key: str, face: Face) -> None:
        self._faces[key] = face
        self._faces.move_to_end(key)
        while len(self._faces) > FACES_IN_MEMORY:
            self._faces.popitem(last=False)


def content_key(image: bytes) -> str:
    """Names an image file by its content."""
    return hashlib.sha256(image).hexdigest()


def _judged(studio: FaceStudio, image: bytes) -> tuple[Verdict, bytes | None]:
    verdict = studio.check(image)
    return verdict, verdict.crop_png()


def _prepared(done: "asyncio.Future[Face]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("a checked portrait has no face", extra={"reason": str(error)})


def _copy_outcome(done: "asyncio.Future[Any]", answer: "asyncio.Future[Any]") -> None:
    """Hand a finished job's result or exception to whoever still waits."""
    error = done.exception()
    if answer.done():
        return
    if error is None:
        answer.set_result(done.result())
    else:
        answer.set_exception(error)
