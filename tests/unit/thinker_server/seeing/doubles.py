"""Eyes that say what they are told to, and pictures for them."""

import asyncio
import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image


def jpeg_of(image: Image.Image) -> np.ndarray:
    """A JPEG file's bytes (N,)."""
    file = io.BytesIO()
    image.save(file, "JPEG")
    return np.frombuffer(file.getvalue(), np.uint8)


FRAME = jpeg_of(Image.new("RGB", (64, 36), "red"))


@dataclass
class ScriptedEyes:
    """Describes every picture as `words`, once `open` is set."""

    words: str = "A red wall."
    error: Exception | None = None
    label: str = "scripted"
    sizes: list[tuple[int, int]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def describe(self, picture: Image.Image) -> str:
        self.sizes.append(picture.size)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return self.words

    async def close(self) -> None:
        pass
