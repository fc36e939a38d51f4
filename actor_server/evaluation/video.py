"""Frames and speech as one file that any player shows."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import av
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.prepared import FRAME_SIZE, Image
from proto.time_law import FRAMES_PER_SECOND, SPEECH_HZ

CRF: Final = "18"
"""Of H.264: next to no visible loss."""
SYNTHETIC: Final = "Synthetic: face, motion and voice were made by X-Streamer."


def write_video(
    path: Path,
    frames: Iterable[Image],
    pcm: NDArray[np.int16],
    pixels: Literal["rgb24", "yuv420p"] = "rgb24",
) -> None:
    """Write frames at 25 a second and speech (N,) s16 at 24 kHz as an MP4, marked as synthetic.

    Frames are (256, 256, 3) RGB, or (384, 256) I420 as an Actor sends them.
    """
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = SYNTHETIC
        picture = container.add_stream("libx264", FRAMES_PER_SECOND, options={"crf": CRF})
        picture.width = picture.height = FRAME_SIZE
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", SPEECH_HZ, layout="mono")
        for frame in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format=pixels)))
        container.mux(picture.encode(None))
        heard = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        heard.sample_rate = SPEECH_HZ
        container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
