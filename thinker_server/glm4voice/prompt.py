"""What GLM-4-Voice reads: a system prompt, then questions and answers between marks.

    [gMASK]<sop><|system|>\\n{system}<|user|>\\n{question}<|assistant|>streaming_transcription\\n{answer}

The marks split the text: each piece between two of them is encoded for itself. Source: the layout
of GLM-4-Voice's demo; the tests hold recorded prompts against it.
"""

from collections.abc import Sequence

from thinker_server.glm4voice.tokenizer import GlmTokenizer

_TASK = (
    "User will provide you with a {kind} instruction. Do it step by step. First, think about the "
    "instruction and respond in a interleaved manner, with 13 text token followed by 26 audio "
    "tokens."
)
SYSTEM_SPOKEN = _TASK.format(kind="speech") + " "
SYSTEM_TYPED = _TASK.format(kind="text")
"""As the model was trained, the blank at the end of the spoken one included."""
_HEADER = "streaming_transcription\n"

Speech = tuple[int, ...]
"""Codes of the caller's voice, 12.5 a second."""
Question = Sequence[str | Speech]
"""What one turn of the caller holds: typed text, speech, or both, in their order."""


class PromptBuilder:
    """Makes ids of the parts of a prompt."""

    def __init__(self, tokenizer: GlmTokenizer) -> None:
        self._tokenizer = tokenizer
        self._header = tokenizer.text_ids(_HEADER)
        self._header_of_nothing = tokenizer.text_ids(_HEADER.strip())

    def opening(self, spoken: bool, persona: str = "") -> list[int]:
        """The system prompt for conversations that begin with a spoken or with a typed question.

        The persona is ours: the model was trained without one, so it comes last.
        """
        system = SYSTEM_SPOKEN if spoken else SYSTEM_TYPED
        if persona:
            system = f"{system.rstrip()} {persona}"
        t = self._tokenizer
        return [*t.prefix, t.system, *t.text_ids(f"\n{system}")]

    def question(self, parts: Question) -> list[int]:
        """One turn of the caller. Texts that follow each other are joined by a blank."""
        t = self._tokenizer
        ids, text = [t.user], "\n"
        for part in parts:
            if isinstance(part, str):
                text = f"{text}{'' if text in ('', chr(10)) else ' '}{part}"
                continue
            ids += t.text_ids(text)
            text = ""
            marked = (t.first_code + code for code in part)
            ids += [t.begin_of_audio, *marked, t.end_of_audio]
        return ids + t.text_ids(text)

    def answer_begins(self) -> list[int]:
        """What stands before an answer that is to be made."""
        return [self._tokenizer.assistant, *self._header]

    def answer(self, ids: Sequence[int]) -> list[int]:
        """An answer that was made, without the blanks at its end, as part of the history."""
        stripped = self._without_blank_end(list(ids))
        header = self._header if stripped else self._header_of_nothing
        return [self._tokenizer.assistant, *header, *stripped]

    def written_answer(self, text: str) -> list[int]:
        """An answer of which only the words are known, as part of the history."""
        return [self._tokenizer.assistant, *self._tokenizer.text_ids(_HEADER + text.strip())]

    def _without_blank_end(self, ids: list[int]) -> list[int]:
        """Tokens of blanks at the end go; one that only ends in blanks is encoded without them."""
        t = self._tokenizer
        while ids and t.is_text(ids[-1]):
            text = t.text_of(ids[-1:])
            if text.rstrip() == text:
                break
            ids = ids[:-1]
            if text.strip():
                return ids + t.text_ids(text.rstrip())
        return ids
