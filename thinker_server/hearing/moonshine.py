"""Moonshine (moonshine-voice, MIT): streaming English recognition on the CPU."""

import threading
from pathlib import Path

import numpy as np
from moonshine_voice.moonshine_api import ModelArch
from moonshine_voice.transcriber import MOONSHINE_FLAG_FORCE_UPDATE, Stream, Transcriber

from proto.time_law import HEARING_HZ
from thinker_server.errors import AssetMissing

UPDATE_INTERVAL_S = 0.4
"""How often the caller's words are transcribed anew while they speak; each time costs ~0.1 s."""
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
            stream = self._transcriber.create_stream(UPDATE_INTERVAL_S)
            stream.start()
        return MoonshineStream(stream, self.lock)


class MoonshineStream:
    """The lines that Moonshine's own voice activity detector made of one turn."""

    def __init__(self, stream: Stream, lock: threading.Lock) -> None:
        self._stream = stream
        self._lock = lock
        self._lines: dict[int, str] = {}
        stream.add_listener(self._on_event)

    def hear(self, pcm: np.ndarray) -> str:
        """Take speech (N,) int16 at 16 kHz; the text so far."""
        samples = (pcm.astype(np.float32) / 32768.0).tolist()
        with self._lock:
            self._stream.add_audio(samples, HEARING_HZ)
        return self._text()

    def settle(self) -> str:
        """Transcribe what came since the last update; quick, for most is done already."""
        with self._lock:
            transcript = self._stream.update_transcription(MOONSHINE_FLAG_FORCE_UPDATE)
        self._lines = {line.line_id: line.text for line in transcript.lines}
        return self._text()

    def close(self) -> None:
        """Free the stream."""
        with self._lock:
            self._stream.close()

    def _on_event(self, event: object) -> None:
        line = getattr(event, "line", None)
        if line is not None:
            self._lines[line.line_id] = line.text

    def _text(self) -> str:
        return " ".join(text.strip() for text in self._lines.values() if text.strip())
