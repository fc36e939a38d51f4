"""Between agent and Actor: how much may be rendered, and what was."""

from typing import Annotated

from pydantic import Field

from proto.message import Count, Message, Micros
from proto.messages.mood import Mood
from proto.messages.parts import ChunkFrames, ChunkSpeech, Features


class Listen(Message):
    """Agent -> Actor: speech features of the caller, for listening behaviour, (T, 8, mel bins)."""

    speaking: bool
    features: Features


class Grant(Message):
    """Agent -> Actor: the Actor may render this many chunks more."""

    credit: Annotated[int, Field(ge=1, le=64)]


class SetMood(Message):
    """Agent -> Actor: the call's own mood from the next chunk on; replies may lay theirs over it.

    Faces of pixels (the LTX codec) ignore it: decision 13.
    """

    mood: Mood


class AVChunk(Message):
    """Actor -> agent: 0.32 s of speech and face.

    Shapes: pcm (7680,) s16 at 24 kHz; frames (8, 384, 256) I420.
    `first_token` and `audio_tokens` say which audio tokens of reply `turn` sound in it (0 tokens:
    it is silent). `last` marks the chunk that holds the reply's last token. `motion_level` 0-1.
    """

    chunk: Count
    pts_us: Micros
    turn: Count
    first_token: Count
    audio_tokens: Annotated[int, Field(ge=0, le=4)]
    last: bool = False
    motion_level: Annotated[float, Field(ge=0)]
    pcm: ChunkSpeech
    frames: ChunkFrames
