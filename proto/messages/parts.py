"""What messages are made of: limits, arrays, and the turns and sounds that they carry.

Dimension letters: T audio tokens, S text slots, D width of a text state, N samples or bytes.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import StringConstraints

from proto.message import Micros, WireModel
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.tensor import Tensor
from proto.time_law import (
    CHUNK_FRAMES,
    CHUNK_SAMPLES,
    FRAME_WIDTH,
    HEARING_BLOCK_SAMPLES,
    I420_ROWS,
)

MAX_TEXT_CHARACTERS = 32_768
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^(ipc|tcp|inproc)://.+$", max_length=512)]
MAX_IMAGE_BYTES = 32 * 1024 * 1024
MAX_HISTORY_TURNS = 256
MAX_PHONES = 1024
MAX_LABELS = 64

ImageFile = Annotated[np.ndarray, Tensor("uint8", ("N",), max_bytes=MAX_IMAGE_BYTES)]
Features = Annotated[np.ndarray, Tensor("float16", ("T", TOKEN_MEL_FRAMES, MEL_BINS))]
Speech = Annotated[np.ndarray, Tensor("int16", ("N",))]
TokenIds = Annotated[np.ndarray, Tensor("int32", ("T",))]
TokenStates = Annotated[np.ndarray, Tensor("float16", ("T", "D"))]
TextIds = Annotated[np.ndarray, Tensor("int32", ("S",))]
TextStates = Annotated[np.ndarray, Tensor("float16", ("S", "D"))]
HeardBlock = Annotated[np.ndarray, Tensor("int16", (HEARING_BLOCK_SAMPLES,))]
ChunkSpeech = Annotated[np.ndarray, Tensor("int16", (CHUNK_SAMPLES,))]
ChunkFrames = Annotated[np.ndarray, Tensor("uint8", (CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH))]


class HistoryTurn(WireModel):
    """One earlier turn of the conversation, as it was heard."""

    role: Literal["user", "assistant"]
    text: Text


class Phone(WireModel):
    """One speech sound, times from the start of the turn's speech. `symbol` is ARPAbet or SIL."""

    symbol: Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}$")]
    start_us: Micros
    end_us: Micros
