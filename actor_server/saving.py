"""The steps by which a call saves work, mildest first; each holds all that the ones before it do.

Pure: what a step means is known to the motion (`motion/fallback.py`, `motion/diffusion.py`) and to
the session that draws.
"""

from enum import IntEnum


class Saving(IntEnum):
    """How much work a call saves."""

    NOTHING = 0
    FEWER_PASSES = 1
    """The transformer's motion in half of its denoising passes."""
    TEACHER = 2
    """The motion of the rules that taught it."""
    HALF_RATE = 3
    """Every second frame is drawn and shown twice."""
    STILL = 4
    """Sound with a still face."""

    @property
    def label(self) -> str:
        """For metrics and people."""
        return self.name.lower()


def share(steps: int, calls: int) -> list[int]:
    """How many of `steps` each call takes, oldest first: alike, the newest one more where uneven.

    So every call saves a little before any saves much.
    """
    each, more = divmod(steps, calls)
    return [each + (number >= calls - more) for number in range(calls)]
