"""One look through the caller's camera, made beside the hearing and never waited for too long."""

import asyncio
import logging
from dataclasses import dataclass

import numpy as np

from thinker_server.errors import EyesUnavailable, ThinkerError
from thinker_server.seeing.eyes import Eyes, one_sentence
from thinker_server.seeing.picture import read_picture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sight:
    """The eyes that all sessions share, and how long an answer waits for them."""

    eyes: Eyes
    wait_s: float

    def glance(self) -> "Glance":
        """Begin a look now."""
        return Glance(self.eyes, self.wait_s)


class Glance:
    """What one frame shows. `look` works; `words` waits for it until `wait_s` after the frame.

    A description that is not there by then is dropped, and the question answered without it.
    """

    def __init__(self, eyes: Eyes, wait_s: float) -> None:
        self.problem: ThinkerError | None = None
        self._eyes = eyes
        self._until_s = asyncio.get_running_loop().time() + wait_s
        self._words = ""
        self._over = asyncio.Event()

    async def look(self, jpeg: np.ndarray) -> None:
        """Describe a JPEG file's bytes (N,); the picture is kept no longer than that takes."""
        try:
            async with asyncio.timeout_at(self._until_s):
                picture = await asyncio.to_thread(read_picture, jpeg)
                self._words = one_sentence(await self._eyes.describe(picture))
        except TimeoutError:
            log.info("a camera frame was described too late")
        except ThinkerError as error:
            log.warning("a camera frame was not described", extra={"reason": str(error)})
            self.problem = error
        except Exception:  # eyes are models and servers of others: a question is answered without
            log.exception("a camera frame was not described")
            self.problem = EyesUnavailable("What the camera shows could not be described.")
        finally:
            self._over.set()

    async def words(self) -> str:
        """One sentence; empty when there is none in time."""
        await self._over.wait()
        return self._words
