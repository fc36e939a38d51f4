"""What may be said of a picture. Imports nothing: the process that decodes pictures needs it."""

from typing import Literal

PortraitCode = Literal[
    "ok",
    "not_an_image",
    "too_large",
    "no_face",
    "many_faces",
    "too_small",
    "too_turned",
    "blurred",
    "not_a_person",
    "mouth_hidden",
]
