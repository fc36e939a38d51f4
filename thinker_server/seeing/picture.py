"""A camera frame from the wire, checked before any model sees it."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from thinker_server.errors import PictureRefused

MAX_BYTES = 256 * 1024
"""Agents send 512 pixels and some 30 KB."""
MAX_SIDE = 1024


def read_picture(jpeg: np.ndarray) -> Image.Image:
    """The RGB picture in a JPEG file's bytes (N,). Raises PictureRefused."""
    if len(jpeg) > MAX_BYTES:
        raise PictureRefused(f"the camera frame has {len(jpeg)} bytes; {MAX_BYTES} are allowed")
    try:
        with Image.open(io.BytesIO(jpeg.tobytes()), formats=["JPEG"]) as image:
            if max(image.size) > MAX_SIDE:  # known from the header, before anything is unpacked
                raise PictureRefused(
                    f"the camera frame has {image.width} x {image.height} pixels; at most "
                    f"{MAX_SIDE} a side are allowed"
                )
            return image.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise PictureRefused("the camera frame is no whole JPEG file") from error
