"""Moonshine (moonshine-voice, MIT): streaming English recognition on the CPU."""

import threading
from pathlib import Path

import numpy as np
from moonshine_voice.moonshine_api import ModelArch
from moonshine_voice.transcriber import MOONSHINE_FLAG_FORCE_UPDATE, Stream, Transcriber

from proto.time_law import HEARING_HZ
from thinker_server.errors import AssetMissing

ONLY_WHEN_ASKED_S = 1e9
"""The library's own updates (each 0.1 to 0.2 s of work) come at any moment, the turn's end too."""
_ARCHITECTURES = {"tiny-en": ModelArch.TINY, "base-en": ModelArch.BASE}
_OPTIONS = {"identify_speakers": "false", "return_audio_data": "false"}


class MoonshineRecogniser:
    """One model; its C library is entered by one stream at a time."""

    def __init__(self, model: str) -> None:
        import moonshine_voice

        directory = Path(moonshine_voice.__file__).parent / "assets" / model
        if model not in _ARCHITECTURES or not directory.is_dir():
            raise AssetMissing(
                f"moonshine-voice carries no model {model!r}; correct recognisers in [thinker] of "
                "xstreamer.toml, or install the pinned moonshine-voice"
            )
        self.lock = threading.Lock()
        self._transcriber = Transcriber(str(directory), _ARCHITECTURES[model], options=_OPTIONS)

    def open(self) -> "MoonshineStream":
        """A stream for a new turn."""
        with self.lock:
            stream = self._transcriber.create_stream(ONLY_WHEN_ASKED_S)
            stream.start()
        return MoonshineStream(stream, self.lock)


class MoonshineStream:
    """The lines that Moonshine's own voice activity detector made of one turn."""

    def __init__(self, stream: Stream, lock: threading.Lock) -> None:
        self._stream = stream
        self._lock = lock

    def hear(self, pcm: np.ndarray) -> None:
        """Take speech (N,) int16 at 16 kHz."""
        samples = (pcm.astype(np.float32) / 32768.0).tolist()
        with self._lock:
            self._stream.add_audio(samples, HEARING_HZ)

    def transcribe(self) -> str:
        """The text of everything heard, the last line included though it may go on."""
        with self._lock:
            transcript = self._stream.update_transcription(MOONSHINE_FLAG_FORCE_UPDATE)
        return " ".join(line.text.strip() for line in transcript.lines if line.text.strip())

    def close(self) -> None:
        """Free the stream."""
        with self._lock:
            self._stream.close()
