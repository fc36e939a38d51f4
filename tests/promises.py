"""What no busy machine excuses: a test that finds it broken is not tried again."""


class PromiseBroken(AssertionError):
    """One caller's things reached another, or a call lost what it must keep."""


def promise(kept: object, told: object) -> None:
    """Raises PromiseBroken. Misses of real time are plain assertions, and may be tried again."""
    if not kept:
        raise PromiseBroken(told)
