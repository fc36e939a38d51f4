"""One reply as it comes to be: text tokens and clauses in, timed words and parts out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proto.messages import SpokenMood
from proto.time_law import AUDIO_TOKEN_US
from thinker_server.brain.brain import BrainToken
from thinker_server.segments.segmenter import Part, Segmenter
from thinker_server.segments.text_slots import TimedTextToken
from thinker_server.speaking.clauses import Clause
from thinker_server.speaking.voice import TimedPhone, TimedWord, Utterance
from thinker_server.speaking.word_alignment import align_words

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Caption:
    """A word of the reply and the audio token with which it begins to sound."""

    text: str
    first_token: int


class SpokenReply:
    """Joins what the brain wrote with what the voice made of it; times from the turn's start."""

    def __init__(self) -> None:
        self._segmenter = Segmenter()
        self._tokens: list[tuple[int, BrainToken]] = []
        self._written = 0
        self.words: list[TimedWord] = []

    @property
    def audio_tokens(self) -> int:
        """Audio tokens given out so far."""
        return self._segmenter.tokens

    @property
    def speech_us(self) -> int:
        """Length of the speech so far."""
        return self._segmenter.pushed_us

    def write(self, token: BrainToken) -> None:
        """The brain's next token. It counts to the word in which its first letter lies."""
        blanks = len(token.text) - len(token.text.lstrip())
        self._tokens.append((self._written + blanks, token))
        self._written += len(token.text)

    def speak(
        self, clause: Clause, utterance: Utterance, mood: SpokenMood | None = None
    ) -> tuple[list[Caption], Iterator[Part]]:
        """The voice's version of the next clause: its captions, and the parts it completes.

        `mood`: from this clause on; None: as before.
        """
        offset = self._segmenter.pushed_us
        if mood is not None:
            self._segmenter.set_mood(mood)
        words = [TimedWord(w.text, w.start_us + offset, w.end_us + offset) for w in utterance.words]
        self._place_tokens(clause, words, offset)
        self._segmenter.add_phones(
            [TimedPhone(p.symbol, p.start_us + offset, p.end_us + offset) for p in utterance.phones]
        )
        captions = [
            Caption(word.text if i + len(self.words) == 0 else f" {word.text}", _token_at(word))
            for i, word in enumerate(words)
        ]
        self.words += words
        return captions, self._segmenter.push(utterance.pcm)

    def end(self) -> Iterator[Part]:
        """The last part, marked final; nothing if nothing was spoken."""
        return self._segmenter.end()

    def heard_text(self, heard_tokens: int | None) -> str:
        """The words of which at least half sounded within the first `heard_tokens` audio tokens."""
        if heard_tokens is None:
            return " ".join(word.text for word in self.words)
        heard_us = heard_tokens * AUDIO_TOKEN_US
        return " ".join(w.text for w in self.words if (w.start_us + w.end_us) // 2 < heard_us)

    def _place_tokens(self, clause: Clause, words: list[TimedWord], offset_us: int) -> None:
        """Give the clause's text tokens the times of their words. Masked brains have no states."""
        written = list(_WORD.finditer(clause.text))
        places = align_words([w.group() for w in written], [w.text for w in words])
        ends = [clause.start + w.end() for w in written]
        clause_end = clause.start + len(clause.text)
        while self._tokens and self._tokens[0][0] < clause_end:
            at, token = self._tokens.pop(0)
            word = next((i for i, end in enumerate(ends) if at < end), len(ends))
            place = places[word] if word < len(places) else len(words)
            start = words[place].start_us if place < len(words) else self._tail(words, offset_us)
            if token.state is not None:
                self._segmenter.add_text(TimedTextToken(token.token_id, token.state, start))

    def _tail(self, words: list[TimedWord], offset_us: int) -> int:
        """Where text after the last sounding word goes: with that word."""
        return words[-1].start_us if words else offset_us


def _token_at(word: TimedWord) -> int:
    return word.start_us // AUDIO_TOKEN_US
