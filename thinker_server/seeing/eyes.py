"""The seam to a vision-language model: one picture in, one sentence out."""

from typing import Protocol

from PIL import Image

INSTRUCTION = (
    "This is a frame of my camera in a video call. Say in one short sentence what it shows: the "
    "person, what they do and hold, and where they are."
)
MAX_CHARACTERS = 240
_ENDS = (". ", "! ", "? ")


class Eyes(Protocol):
    """A vision-language model shared by all sessions."""

    @property
    def label(self) -> str:
        """What runs, for people."""
        ...

    async def describe(self, picture: Image.Image) -> str:
        """What an RGB picture shows, in the model's words. Raises EyesUnavailable."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


def one_sentence(words: str) -> str:
    """The first sentence, in one line and of bounded length: the prompt has room for no more."""
    line = " ".join(words.split())
    ends = [at + 1 for end in _ENDS if (at := line.find(end)) >= 0]
    return line[: min([*ends, len(line), MAX_CHARACTERS])]


def as_said(sentence: str) -> str:
    """The sentence as the prompt has it, in front of the caller's own words."""
    return f"(You see me through my camera: {sentence})"
