"""What token ids mean: text, speech codes and marks, all resolved by name."""

import codecs
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.tokenizer_files import FAST_FILE, PREFIX


class GlmTokenizer:
    """Text to ids and back. No text, whatever it spells, becomes a mark or a speech code."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        tokenizer.encode_special_tokens = True  # "<|user|>" in a caller's text stays text
        self.prefix = tuple(self.mark(name) for name in PREFIX)
        self.system = self.mark("<|system|>")
        self.user = self.mark("<|user|>")
        self.assistant = self.mark("<|assistant|>")
        self.begin_of_audio = self.mark("<|begin_of_audio|>")
        self.end_of_audio = self.mark("<|end_of_audio|>")
        self.first_code = self.mark("<|audio_0|>")
        self.size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self.codes = self._count_codes()
        ends = ("<|endoftext|>", "<|user|>", "<|observation|>")
        self.stop_ids = frozenset(self.mark(name) for name in ends)
        self._marks = frozenset(tokenizer.get_added_tokens_decoder())
        letters: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]
        self._byte_of = {letter: byte for byte, letter in letters.items()}

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The tokenizer of a converted model. Raises WeightsUnusable."""
        file = directory / FAST_FILE
        if not file.is_file():
            raise WeightsUnusable(f"{file} is missing: convert the model again")
        return cls(Tokenizer.from_file(str(file)))

    def mark(self, name: str) -> int:
        """Id of a special token. Raises WeightsUnusable where there is none of that name."""
        token_id = self._tokenizer.token_to_id(name)
        if token_id is None:
            raise WeightsUnusable(f"the tokenizer has no {name}: is it glm-4-voice-9b's?")
        return token_id

    def text_ids(self, text: str) -> list[int]:
        """Ids of a piece of text between two marks."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def is_code(self, token_id: int) -> bool:
        """Whether an id is a speech code, not text."""
        return self.first_code <= token_id < self.first_code + self.codes

    def is_text(self, token_id: int) -> bool:
        """Whether an id is text: neither a speech code nor a mark."""
        return not self.is_code(token_id) and bool(self.bytes_of(token_id))

    def bytes_of(self, token_id: int) -> bytes:
        """The UTF-8 bytes, perhaps part of a character, that a text token stands for."""
        token = self._tokenizer.id_to_token(token_id)
        if token is None or token_id in self._marks:
            return b""
        return bytes(self._byte_of[letter] for letter in token)

    def text_of(self, ids: list[int]) -> str:
        """The text of some ids; speech codes and marks have none."""
        return b"".join(self.bytes_of(token_id) for token_id in ids).decode("utf-8", "replace")

    def _count_codes(self) -> int:
        count = 0
        while self._tokenizer.token_to_id(f"<|audio_{count}|>") == self.first_code + count:
            count += 1
        return count


class TextPieces:
    """The text that each token of an answer adds; a character waits until its bytes are whole."""

    def __init__(self, tokenizer: GlmTokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """Text that is whole now; empty while a character lacks some of its bytes."""
        return self._decoder.decode(self._tokenizer.bytes_of(token_id))
