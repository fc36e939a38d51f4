"""The voices of this machine: which exist, and loading each one when it is first asked for."""

import threading
from pathlib import Path

from thinker_server.errors import UnknownVoice
from thinker_server.speaking import hibari_voice
from thinker_server.speaking.kokoro_voice import PREFIX, KokoroModel, KokoroVoice, kokoro_names
from thinker_server.speaking.pronunciation import Pronouncer
from thinker_server.speaking.voice import Voice


class VoiceCatalogue:
    """Names to voices. Loading is slow: call `load` from a worker thread."""

    def __init__(self, assets: Path, cache: Path, threads: int) -> None:
        self._assets = assets
        self._cache = cache
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: dict[str, Voice] = {}
        self._kokoro: KokoroModel | None = None
        self._pronouncers: dict[bool, Pronouncer] = {}

    def names(self) -> list[str]:
        """Every voice that can be asked for."""
        return [hibari_voice.NAME, *kokoro_names(self._assets)]

    def check(self, name: str) -> None:
        """Raises UnknownVoice, listing what exists."""
        if name not in self.names():
            raise UnknownVoice(f"there is no voice {name!r}; there are: {', '.join(self.names())}")

    def load(self, name: str) -> Voice:
        """The voice of that name, kept once loaded. Raises UnknownVoice."""
        self.check(name)
        if (voice := self._loaded.get(name)) is not None:
            return voice  # without waiting for one that is being loaded
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._make(name)
            return self._loaded[name]

    def _make(self, name: str) -> Voice:
        if name == hibari_voice.NAME:
            return hibari_voice.HibariVoice(self._pronouncer(british=False), self._threads)
        if self._kokoro is None:
            self._kokoro = KokoroModel(self._assets, self._cache, self._threads)
        british = name.removeprefix(PREFIX).startswith("b")
        return KokoroVoice(name, self._kokoro, self._assets, self._pronouncer(british))

    def _pronouncer(self, british: bool) -> Pronouncer:
        """One per accent, shared: the dictionaries are large."""
        return self._pronouncers.setdefault(british, Pronouncer(british))
