"""A decoder that is easy to listen to: every sample of a token is the token's code."""

import numpy as np

from actor_server.speech.stream import Codes, Samples
from proto.messages import HiddenChunk
from proto.time_law import TOKEN_SAMPLES

HELD_BACK_SAMPLES = 9_800
"""0.41 s, as GLM-4-Voice's tail."""
CODES = 1000


class SpellingStream:
    """Blocks of 6, 4 and then 13; code 13 brings bad luck."""

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self._spoken = np.zeros(0, np.int16)
        self._given = 0

    @property
    def next_block(self) -> int:
        return [6, 4, 13][min(len(self.blocks), 2)]

    def extend(self, codes: Codes) -> Samples:
        assert len(codes) == self.next_block
        return self._say(codes, HELD_BACK_SAMPLES)

    def finish(self, codes: Codes) -> Samples:
        assert len(codes) < self.next_block
        return self._say(codes, 0)

    def _say(self, codes: Codes, held_back: int) -> Samples:
        if 13 in codes:
            raise RuntimeError("bad luck")
        self.blocks.append(len(codes))
        said = np.repeat(codes.astype(np.int16), TOKEN_SAMPLES)
        self._spoken = np.concatenate([self._spoken, said])
        begin, self._given = self._given, max(self._given, len(self._spoken) - held_back)
        return self._spoken[begin : self._given]


class SpellingDecoder:
    """Remembers the streams that it opened."""

    label = "spelling"
    codes = CODES

    def __init__(self) -> None:
        self.streams: list[SpellingStream] = []

    def open(self) -> SpellingStream:
        self.streams.append(SpellingStream())
        return self.streams[-1]


def coded(
    codes: list[int],
    *,
    first_token: int = 0,
    final: bool = False,
    turn: int = 1,
    epoch: int = 1,
    session_id: str = "s",
) -> HiddenChunk:
    """A part of a reply as GLM-4-Voice's Thinker sends it."""
    return HiddenChunk(
        session_id=session_id,
        epoch=epoch,
        turn=turn,
        first_token=first_token,
        audio_tokens=len(codes),
        final=final,
        audio_ids=np.array(codes, np.int32) if codes else None,
    )


def coded_parts(codes: list[int], sizes: list[int], **fields: int | str) -> list[HiddenChunk]:
    """A whole reply in parts of these sizes, the rest in the last one."""
    parts, first = [], 0
    for size in sizes:
        piece = codes[first : first + size]
        parts.append(coded(piece, first_token=first, **fields))  # type: ignore[arg-type]
        first += len(piece)
    return [*parts, coded(codes[first:], first_token=first, final=True, **fields)]  # type: ignore[arg-type]
