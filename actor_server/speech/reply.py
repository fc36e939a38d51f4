"""One reply on its way through the decoder: parts with audio ids in, parts with speech out."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.errors import SpeechRefused
from actor_server.speech.stream import Samples, SpeechDecoder
from proto.feature_resampler import FeatureResampler
from proto.message import Stamp
from proto.messages import HiddenChunk, MoodChange
from proto.speech_features import SpeechFeatures, token_features
from proto.time_law import SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS, TOKEN_SAMPLES

MAX_WAITING_TOKENS: Final = 4500
"""Six minutes of speech; a reply is seconds long."""


class DecodedReply:
    """The same parts come out however the reply was cut when it came in.

    What a decoded part says of its tokens is in time: token k is the speech of its 80 ms. The
    Thinker's states of audio and text travel with the tokens that they belong to, and so do moods.
    """

    def __init__(self, first: HiddenChunk, decoder: SpeechDecoder) -> None:
        self.epoch = first.epoch
        self.turn = first.turn
        self.decoded_tokens = 0
        """Tokens given out as speech so far."""
        self._session_id = first.session_id
        self._codes = decoder.codes
        self._stream = decoder.open()
        self._received = 0
        self._waiting = np.zeros(0, np.int32)
        self._states: deque[NDArray[np.float16] | None] = deque()
        """Of the tokens not given out yet."""
        self._text: deque[tuple[int, NDArray[np.float16]]] = deque()
        """Slots and their states (D,)."""
        self._moods: deque[MoodChange] = deque()
        self._final = False
        self._finished = False
        self._speech = np.zeros(0, np.int16)
        """Decoded samples of a token that is not whole yet."""
        self._resampler = FeatureResampler()
        self._features = SpeechFeatures()
        self._stamps: Sequence[Stamp] = first.stamps

    def take(self, part: HiddenChunk) -> None:
        """Queue a part's tokens. Raises SpeechRefused."""
        if part.first_token != self._received or self._final:
            raise SpeechRefused(
                f"reply {self.turn} has {self._received} audio tokens"
                f"{' and is closed' if self._final else ''}, this part begins at {part.first_token}"
            )
        if part.audio_tokens:
            self._queue(part)
        if part.text_states is not None:
            self._text.extend(enumerate(part.text_states, part.first_text_slot))
        self._moods.extend(part.moods or ())
        self._received += part.audio_tokens
        self._final = part.final

    def _queue(self, part: HiddenChunk) -> None:
        if part.audio_ids is None:
            raise SpeechRefused(
                "this Actor decodes speech itself and was sent pcm: run it with a Thinker that "
                'sends audio_ids, or set speech = "carried" in [actor]'
            )
        if (highest := int(part.audio_ids.max())) >= self._codes:
            raise SpeechRefused(f"audio id {highest} is no row of a codebook of {self._codes}")
        if len(self._waiting) + part.audio_tokens > MAX_WAITING_TOKENS:
            raise SpeechRefused(f"more than {MAX_WAITING_TOKENS} audio tokens wait to be decoded")
        self._waiting = np.concatenate([self._waiting, part.audio_ids])
        unknown = [None] * part.audio_tokens
        self._states.extend(unknown if part.audio_states is None else part.audio_states)

    @property
    def ready(self) -> bool:
        """Whether there is a block to decode, or an end to come to."""
        return not self._finished and (self._final or self._block_waits)

    @property
    def _block_waits(self) -> bool:
        return len(self._waiting) >= self._stream.next_block

    def step(self) -> list[HiddenChunk]:
        """Decode one block; the parts that became whole, in order. Only when `ready`."""
        if self._block_waits:
            size = self._stream.next_block
            block, self._waiting = self._waiting[:size], self._waiting[size:]
            return self._parts(self._stream.extend(block))
        self._finished = True
        return self._parts(self._stream.finish(self._waiting))

    def _parts(self, speech: Samples) -> list[HiddenChunk]:
        """All tokens whose samples are there, cut where segments end: text is their own."""
        speech = np.concatenate([self._speech, speech])
        end = self.decoded_tokens + len(speech) // TOKEN_SAMPLES
        parts = []
        while self.decoded_tokens < end:
            segment_end = (self.decoded_tokens // SEGMENT_AUDIO_TOKENS + 1) * SEGMENT_AUDIO_TOKENS
            tokens = min(end, segment_end) - self.decoded_tokens
            pcm, speech = np.split(speech, [tokens * TOKEN_SAMPLES])
            parts.append(self._part(pcm, final=self._finished and len(speech) < TOKEN_SAMPLES))
        self._speech = speech
        if self._finished and not parts:
            parts.append(self.broken_off())
        return parts

    def _part(self, pcm: NDArray[np.int16], *, final: bool) -> HiddenChunk:
        first, tokens = self.decoded_tokens, len(pcm) // TOKEN_SAMPLES
        self.decoded_tokens += tokens
        stamps, self._stamps = tuple(self._stamps), ()
        of_tokens = [self._states.popleft() for _ in range(min(tokens, len(self._states)))]
        states = [state for state in of_tokens if state is not None]
        slots = (self.decoded_tokens - 1) // SEGMENT_AUDIO_TOKENS * SEGMENT_TEXT_SLOTS
        text = []
        while self._text and self._text[0][0] < slots + SEGMENT_TEXT_SLOTS:
            text.append(self._text.popleft())
        moods = []
        while self._moods and self._moods[0].first_token < self.decoded_tokens:
            moods.append(self._moods.popleft())
        return HiddenChunk(
            session_id=self._session_id,
            epoch=self.epoch,
            stamps=stamps,
            turn=self.turn,
            first_token=first,
            audio_tokens=tokens,
            first_text_slot=text[0][0] if text else 0,
            final=final,
            features=token_features(self._features.push(self._resampler.push(pcm))),
            pcm=pcm,
            audio_states=np.stack(states) if states and len(states) == tokens else None,
            text_states=np.stack([state for _, state in text]) if text else None,
            moods=tuple(moods) or None,
        )

    def broken_off(self) -> HiddenChunk:
        """The part that ends a reply of which nothing more can be, or is to be, decoded."""
        return HiddenChunk(
            session_id=self._session_id,
            epoch=self.epoch,
            turn=self.turn,
            first_token=self.decoded_tokens,
            audio_tokens=0,
            final=True,
        )
