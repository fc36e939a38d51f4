"""Speak written answers and keep what the Actor would receive: the raw material of its training.

    python -m thinker_server.recite --sentences FILE --voices hibari=50,kokoro:af_heart=1 --out DIR

Each line of FILE is one answer. It takes the road of every reply (clauses, voice, segments, text
states of the Actor's own brain); the HiddenChunk messages of one reply are one file, and
`index.json` lists them. Files that are there already are kept, so a run can be resumed.
"""

import argparse
import hashlib
import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from rich.progress import Progress

from proto.message_file import read_messages, write_messages
from proto.messages import HiddenChunk
from proto.time_law import AUDIO_TOKEN_US, tokens_to_us
from thinker_server.brain.brain import BrainToken, ChatMessage
from thinker_server.brain.prompt import opening
from thinker_server.config import ThinkerConfig
from thinker_server.reply import voiced
from thinker_server.segments.segmenter import Part
from thinker_server.segments.spoken_reply import SpokenReply
from thinker_server.speaking.clauses import ClauseCutter
from thinker_server.speaking.paced_voice import PACES, PacedVoice
from thinker_server.speaking.voice import Voice

INDEX_NAME: Final = "index.json"
QUESTIONS: Final = (
    *("Tell me something.", "What do you think?", "Can you help me?", "And then?", "Why?"),
    *("Hello there.", "What do you mean?", "How does that work?", "I see. Go on.", "Really?"),
)
"""What the answers are answers to: the states of the text depend on it a little."""
_MINUTE_US: Final = 60_000_000
_SESSION: Final = "recital"


@dataclass(frozen=True)
class Piece:
    """One answer to be spoken, and how; `pace` is one of PACES by number."""

    text: str
    question: str
    voice: str
    pace: int

    @property
    def file_name(self) -> str:
        """The same piece has the same name in every run."""
        named = "|".join((self.text, self.question, self.voice, str(PACES[self.pace])))
        return f"{hashlib.sha256(named.encode()).hexdigest()[:20]}.messages"


@dataclass(frozen=True)
class Recited:
    """One line of the index."""

    file: str
    text: str
    voice: str
    pace: float
    audio_tokens: int


def pieces_of(sentences: Sequence[str], voice: str, seed: int) -> Iterator[Piece]:
    """Endless: all sentences in random order, again and again, at all paces."""
    dice = random.Random(f"{seed}|{voice}")
    paces = list(range(len(PACES)))
    while True:
        for text in dice.sample(sentences, len(sentences)):
            yield Piece(text, dice.choice(QUESTIONS), voice, dice.choice(paces))


def speak(
    tokens: Sequence[BrainToken], voice: Voice, first_clause_words: int, turn: int = 1
) -> list[HiddenChunk]:
    """The messages of one reply, as `ReplyPipeline` makes them from the brain's tokens."""
    reply = SpokenReply()
    cutter = ClauseCutter(min(first_clause_words, voice.first_clause_words))
    parts: list[Part] = []
    for token in tokens:
        reply.write(token)
    clauses = [clause for token in tokens for clause in cutter.push(token.text)]
    for clause in [*clauses, *cutter.finish()]:
        _, ready = reply.speak(clause, voiced(clause, voice))
        parts += ready
    parts += reply.end()
    return [part.message(_SESSION, epoch=turn, turn=turn) for part in parts]


class Reciter(Protocol):
    """Whoever speaks pieces."""

    def recite(self, piece: Piece) -> Recited | None:
        """Speak a piece, unless it was spoken before; None when there is nothing to say."""


class ProductReciter:
    """Speaks pieces with the product's voices and one brain's states into a folder."""

    def __init__(self, config: ThinkerConfig, folder: Path) -> None:
        import torch

        from thinker_server.brain.choice import choose_brain
        from thinker_server.brain.forced_answer import AnswerForcer
        from thinker_server.brain.transformers_brain import TransformersBrain
        from thinker_server.speaking.catalogue import VoiceCatalogue

        torch.set_num_threads(config.torch_threads)
        self._config = config
        self._folder = folder
        self._voices = VoiceCatalogue(config.assets_dir, config.cache_dir, config.voice_threads)
        self._forcer = AnswerForcer(cast(TransformersBrain, choose_brain(config)))

    def recite(self, piece: Piece) -> Recited | None:
        """See `Reciter`."""
        path = self._folder / piece.file_name
        if not path.exists():
            prompt = [*opening("Ann", ""), ChatMessage("user", piece.question)]
            tokens = self._forcer.tokens(prompt, piece.text)
            voice = PacedVoice(self._voices.load(piece.voice), PACES[piece.pace])
            write_messages(path, speak(tokens, voice, self._config.first_clause_words))
        messages = cast(list[HiddenChunk], read_messages(path))
        audio_tokens = sum(message.audio_tokens for message in messages)
        if audio_tokens == 0:
            return None
        pace = float(PACES[piece.pace])
        return Recited(piece.file_name, piece.text, piece.voice, pace, audio_tokens)


def recite_all(
    reciter: Reciter, sentences: Sequence[str], minutes: dict[str, float], seed: int
) -> list[Recited]:
    """Speak so many minutes with each voice."""
    recited: list[Recited] = []
    with Progress() as progress:
        for voice, wanted in minutes.items():
            wanted_us = round(wanted * _MINUTE_US)
            bar = progress.add_task(f"{voice}, {wanted:g} min", total=wanted_us)
            spoken_us = 0
            for piece in pieces_of(sentences, voice, seed):
                if spoken_us >= wanted_us:
                    break
                if (line := reciter.recite(piece)) is not None:
                    recited.append(line)
                spoken_us += tokens_to_us(line.audio_tokens) if line else AUDIO_TOKEN_US
                progress.update(bar, completed=min(spoken_us, wanted_us))
    return recited


def read_sentences(path: Path) -> list[str]:
    """The answers of a file: one a line, without blank lines and comments (#)."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _minutes(listed: str) -> dict[str, float]:
    named = (entry.partition("=") for entry in listed.split(","))
    return {voice: float(minutes or 1) for voice, _, minutes in named}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--sentences", type=Path, required=True, help="one answer a line")
    parser.add_argument(
        "--voices", type=_minutes, required=True, help="NAME=MINUTES, separated by commas"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the messages")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    logging.basicConfig(level=logging.WARNING)
    # the states of any other brain would be masked by the Actor
    config = ThinkerConfig(brain="smollm2-135m", voice_threads=1)
    options.out.mkdir(parents=True, exist_ok=True)
    sentences = read_sentences(options.sentences)
    reciter = ProductReciter(config, options.out)
    recited = recite_all(reciter, sentences, options.voices, options.seed)
    index = {
        "seed": options.seed,
        "minutes": options.voices,
        "replies": [asdict(line) for line in recited],
    }
    (options.out / INDEX_NAME).write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
