"""Which word of one text became which word of another: written -> spoken -> pronounced."""

from collections.abc import Sequence
from difflib import SequenceMatcher


def align_words(source: Sequence[str], target: Sequence[str]) -> list[int]:
    """For each source word the index of the target word with which it begins to sound.

    Never decreases; a word that has no sound of its own takes the next one's place, at the end
    len(target). Rewritten stretches ("3 km" -> "three kilometres") are spread evenly.
    """
    if len(source) == len(target):
        return list(range(len(source)))
    matcher = SequenceMatcher(
        None, [_key(word) for word in source], [_key(word) for word in target], autojunk=False
    )
    places: list[int] = []
    for _, from_source, to_source, from_target, to_target in matcher.get_opcodes():
        taken, given = to_source - from_source, to_target - from_target
        places += [from_target + step * given // max(taken, 1) for step in range(taken)]
    return places


def _key(word: str) -> str:
    """Letters and digits in lower case: punctuation must not hide a match."""
    return "".join(c for c in word.lower() if c.isalnum()) or word
