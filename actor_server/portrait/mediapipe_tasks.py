"""MediaPipe without matplotlib, which only its drawing helpers use.

It is most of that import, and an Actor that was killed has to be back soon.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

DRAWING: Final = ("matplotlib", "matplotlib.pyplot")


@contextmanager
def left_out(names: tuple[str, ...]) -> Iterator[None]:
    """Imports inside find nothing in modules of these names; outside all is as it was."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


with left_out(DRAWING):
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

__all__ = ["BaseOptions", "Image", "ImageFormat", "vision"]
