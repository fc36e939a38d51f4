"""MediaPipe without matplotlib, which only its drawing helpers use.

It is most of that import. MediaPipe's own drawing helpers do not work for it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

DRAWING: Final = ("matplotlib", "matplotlib.pyplot")


@contextmanager
def left_out(names: tuple[str, ...]) -> Iterator[None]:
    """Imports inside find nothing in modules of these names; later ones find the real modules."""
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
