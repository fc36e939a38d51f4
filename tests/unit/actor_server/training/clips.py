"""Video clips as they come out of curation: faces are replaced by moving colours."""

from pathlib import Path

import av
import numpy as np


def write_clip(
    path: Path, frames: int, *, height: int = 64, width: int = 80, rate: int = 25
) -> None:
    """Coloured bands that move to the right; frame f has a brightness of 2 f."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate, width=width, height=height)
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        columns = np.arange(width)
        for number in range(frames):
            bands = 40 * np.sin((columns - 2 * number) / 6)
            picture = np.full((height, width, 3), 2.0 * number + 50)
            picture += bands[None, :, None] * np.array([1.0, 0.3, -1.0])
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
