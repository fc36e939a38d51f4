"""Decode an uploaded picture without trusting its name, its size or its bytes."""

import io
import warnings
from typing import Final

import numpy as np
from PIL import Image as Pictures
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from actor_server.codec.mesh.prepared import Image
from actor_server.portrait.refusal import PortraitRefused

FORMATS: Final = ("JPEG", "PNG", "WEBP")
"""Each is one more decoder that a hostile file may attack; phones and cameras write these."""
FILE_LIMIT_BYTES: Final = 20 * 1024 * 1024
PIXEL_LIMIT: Final = 50_000_000
SIDE_LIMIT: Final = 12_000
WORKING_SIDE: Final = 1600  # larger pictures are reduced to this before anything looks at them
# Transparent pixels show this; a neutral wall disturbs neither the landmarker nor the outline.
PAPER: Final = (216, 216, 216)

_NOT_AN_IMAGE: Final = (
    "This file is not a picture that can be read. Send a JPEG, PNG or WebP photo of one face."
)


def decode_picture(data: bytes) -> Image:
    """Return the picture as upright (H, W, 3) sRGB, at most 1600 pixels on its longer side.

    The format is what the bytes say, never the file's name. Size is judged from the header, before
    a pixel is decoded. Of an animation the first frame is taken.

    Raises: PortraitRefused `not_an_image` or `too_large`.
    """
    if len(data) > FILE_LIMIT_BYTES:
        raise PortraitRefused(
            "too_large",
            f"The file has {len(data) / 2**20:.0f} MB; at most {FILE_LIMIT_BYTES // 2**20} MB are "
            "taken. Save it smaller or as JPEG.",
        )
    try:
        with warnings.catch_warnings():
            # Pillow warns about large pictures; the limit below is ours and stricter.
            warnings.simplefilter("ignore", Pictures.DecompressionBombWarning)
            picture = Pictures.open(io.BytesIO(data), formats=FORMATS)
    except Pictures.DecompressionBombError as bomb:
        raise _too_large_picture("far more than 50 million pixels") from bomb
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as unreadable:
        raise PortraitRefused("not_an_image", _NOT_AN_IMAGE) from unreadable
    width, height = picture.size
    if width * height > PIXEL_LIMIT or max(width, height) > SIDE_LIMIT:
        raise _too_large_picture(f"{width} x {height} pixels")
    try:
        picture.seek(0)
        # JPEG decodes straight to an eighth, quarter or half where that is still large enough.
        picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
        picture.load()
        # Made small before it is turned, and in place: a copy of 50 million pixels is 200 MB.
        picture.thumbnail((WORKING_SIDE, WORKING_SIDE), Pictures.Resampling.LANCZOS)
        ImageOps.exif_transpose(picture, in_place=True)
        return np.asarray(_to_srgb(picture))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as broken:
        raise PortraitRefused(
            "not_an_image",
            "The picture is damaged or incomplete. Export it again and send the new file.",
        ) from broken


def _too_large_picture(size: str) -> PortraitRefused:
    return PortraitRefused(
        "too_large",
        f"The picture has {size}; at most {PIXEL_LIMIT // 1_000_000} million pixels and "
        f"{SIDE_LIMIT} on a side are taken. Scale it down: 1024 x 1024 is plenty.",
    )


def _to_srgb(picture: Pictures.Image) -> Pictures.Image:
    """Convert any mode, with its colour profile where it has a good one, to opaque RGB."""
    if picture.mode.startswith(("I", "F")):
        # 16-bit grey: Pillow would clip to 255, so scale from the full range first.
        levels = np.asarray(picture, np.float64)
        top = 65535.0 if levels.max() > 255 else 255.0
        picture = Pictures.fromarray((levels.clip(0, top) / top * 255).astype(np.uint8))
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile is no reason to refuse a good picture
        if converted is not None:
            return converted
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        paper = Pictures.new("RGBA", with_alpha.size, (*PAPER, 255))
        picture = Pictures.alpha_composite(paper, with_alpha)
    return picture.convert("RGB")
