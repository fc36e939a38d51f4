"""Frames and speech as one file that any player shows."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.prepared import FRAME_SIZE, Image
from proto.time_law import FRAMES_PER_SECOND, SPEECH_HZ

CRF: Final = "18"
"""Of H.264: next to no visible loss."""


def write_video(path: Path, frames: Iterable[Image], pcm: NDArray[np.int16]) -> None:
    """Write frames (256, 256, 3) RGB at 25 a second and speech (N,) s16 at 24 kHz as an MP4."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", FRAMES_PER_SECOND, options={"crf": CRF})
        picture.width = picture.height = FRAME_SIZE
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", SPEECH_HZ, layout="mono")
        for frame in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode(None))
        heard = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        heard.sample_rate = SPEECH_HZ
        container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
