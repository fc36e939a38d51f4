"""The caller's turn as GLM-4-Voice hears it, with a recogniser's words beside it for captions."""

import numpy as np

from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.token_stream import SpeechTokenStream
from thinker_server.hearing.recogniser import HearingStream, Recogniser


class SpeechHearing:
    """A HearingStream: its text is the recogniser's or empty; `tokens` are what the model reads."""

    def __init__(self, encoder: SpeechEncoder, captions: HearingStream | None) -> None:
        self._speech = SpeechTokenStream(encoder)
        self._captions = captions
        self.tokens: list[int] = []

    def hear(self, pcm: np.ndarray) -> None:
        """Take speech (N,) int16 at 16 kHz."""
        self._speech.hear(pcm)
        if self._captions is not None:
            self._captions.hear(pcm)

    def transcribe(self) -> str:
        """Tokenise all that was heard; the recogniser's text for it."""
        self.tokens = self._speech.tokens()
        return "" if self._captions is None else self._captions.transcribe()

    def close(self) -> None:
        """Free the recogniser's stream."""
        if self._captions is not None:
            self._captions.close()


class SpeechEars:
    """A Recogniser that makes such streams."""

    def __init__(self, encoder: SpeechEncoder, captions: Recogniser | None) -> None:
        self._encoder = encoder
        self._captions = captions

    def open(self) -> SpeechHearing:
        """A stream for a new turn."""
        captions = None if self._captions is None else self._captions.open()
        return SpeechHearing(self._encoder, captions)
