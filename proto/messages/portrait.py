"""Between the gateway and the Actor: may this picture become an avatar?"""

from pydantic import Field

from proto.message import Message, Name
from proto.messages.parts import MAX_LABELS, ImageFile, Text
from proto.portrait_code import PortraitCode


class CheckPortrait(Message):
    """Gateway -> Actor: may this image (file bytes, (N,)) become an avatar?"""

    image: ImageFile


class PortraitChecked(Message):
    """Actor -> gateway: the verdict, its measurements, and the 512x512 crop as a PNG when ok."""

    code: PortraitCode
    hint: Text = ""
    checks: dict[Name, float] = Field(default_factory=dict, max_length=MAX_LABELS)
    crop: ImageFile | None = None
