"""Words to phonemes with hibari's grapheme-to-phoneme, which reads numbers, money and units out."""

import threading
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any, Self

from thinker_server.speaking.word_alignment import align_words


@dataclass(frozen=True)
class Pronunciation:
    """A phoneme string, its words separated by single spaces, and where each written word begins.

    `word_places[i]` is the index of the phoneme word with which written word i begins to sound.
    """

    phonemes: str
    words: tuple[str, ...]
    word_places: tuple[int, ...]

    def known_to(self, vocabulary: Container[str]) -> Self:
        """Without the characters that a voice's vocabulary lacks; words keep their places."""
        kept = "".join(c for c in self.phonemes if c in vocabulary)
        return replace(self, phonemes=kept)


class Pronouncer:
    """One accent's dictionary and rules; made at first use, for they fill 60 MB."""

    def __init__(self, british: bool) -> None:
        self._british = british
        self._g2p: Any = None
        self._lock = threading.Lock()

    def pronounce(self, text: str) -> Pronunciation:
        """Phonemes of one clause of spoken text."""
        from hibari.g2p.normalize import normalize

        words = text.split()
        with self._lock:
            tokens = self._loaded().phonemize_tokens(self._loaded().tokenize(normalize(text)))
        pronounced = _by_word(tokens)
        places = align_words(words, [written for written, _ in pronounced])
        return Pronunciation(
            phonemes=" ".join(sounds for _, sounds in pronounced),
            words=tuple(words),
            word_places=tuple(places),
        )

    def _loaded(self) -> Any:
        if self._g2p is None:
            from hibari.g2p import G2P

            self._g2p = G2P(british=self._british)
        return self._g2p


def _by_word(tokens: list[Any]) -> list[tuple[str, str]]:
    """(written, phonemes) of the tokens between blanks; one written word may sound as several."""
    words: list[tuple[str, str]] = []
    written, sounds = "", ""
    for token in tokens:
        written += token.text
        sounds += token.phonemes or ""
        if token.whitespace:
            words += _split(written, sounds)
            written, sounds = "", ""
    return words + _split(written, sounds)


def _split(written: str, sounds: str) -> list[tuple[str, str]]:
    parts = sounds.split()
    if not parts:
        return []
    return [(written, parts[0]), *[("", part) for part in parts[1:]]]
