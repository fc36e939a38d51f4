"""One reply on its way through the decoder: parts with audio ids in, parts with speech out."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from actor_server.errors import SpeechRefused
from actor_server.speech.stream import Samples, SpeechDecoder
from proto.feature_resampler import FeatureResampler
from proto.message import Stamp
from proto.messages import HiddenChunk
from proto.speech_features import SpeechFeatures, token_features
from proto.time_law import TOKEN_SAMPLES

MAX_WAITING_TOKENS: Final = 4500
"""Six minutes of speech; a reply is seconds long."""


class DecodedReply:
    """The same parts come out however the reply was cut when it came in.

    What a decoded part says of its tokens is in time: token k is the speech of its 80 ms. It brings
    no text states: the face follows the sound, and what this Thinker thinks it was not trained on.
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

    @property
    def ready(self) -> bool:
        """Whether there is a block to decode, or an end to come to."""
        return not self._finished and (self._final or self._block_waits)

    @property
    def _block_waits(self) -> bool:
        return len(self._waiting) >= self._stream.next_block

    def step(self) -> HiddenChunk | None:
        """Decode one block; the part that became whole, if one did. Only when `ready`."""
        if self._block_waits:
            size = self._stream.next_block
            block, self._waiting = self._waiting[:size], self._waiting[size:]
            return self._part(self._stream.extend(block))
        self._finished = True
        return self._part(self._stream.finish(self._waiting))

    def _part(self, speech: Samples) -> HiddenChunk | None:
        """All tokens whose samples are there; None if there are none and more will come."""
        speech = np.concatenate([self._speech, speech])
        tokens = len(speech) // TOKEN_SAMPLES
        pcm, self._speech = np.split(speech, [tokens * TOKEN_SAMPLES])
        if tokens == 0 and not self._finished:
            return None
        first, self.decoded_tokens = self.decoded_tokens, self.decoded_tokens + tokens
        stamps, self._stamps = tuple(self._stamps), ()
        return HiddenChunk(
            session_id=self._session_id,
            epoch=self.epoch,
            stamps=stamps,
            turn=self.turn,
            first_token=first,
            audio_tokens=tokens,
            final=self._finished,
            features=token_features(self._features.push(self._resampler.push(pcm))),
            pcm=pcm,
        )

    def broken_off(self) -> HiddenChunk:
        """The part that ends a reply which cannot be decoded any further."""
        return HiddenChunk(
            session_id=self._session_id,
            epoch=self.epoch,
            turn=self.turn,
            first_token=self.decoded_tokens,
            audio_tokens=0,
            final=True,
        )
