"""How the tensors of a file differ from those that a model needs, in words for a person."""

from collections.abc import Iterable
from typing import Final

from torch import Size

NAMED_AT_MOST: Final = 3
"""Tensors that are named; the rest are counted."""


def differences(found: dict[str, Size], expected: dict[str, Size]) -> str:
    """What is missing, too many or of another shape; empty when the tables agree."""
    wrong = [
        f"{name} is {list(found[name])}, must be {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    problems = [
        *_listed("missing", expected.keys() - found.keys()),
        *_listed("unknown", found.keys() - expected.keys()),
        *_listed("of another shape", wrong),
    ]
    return "; ".join(problems)


def _listed(what: str, names: Iterable[str]) -> list[str]:
    """A phrase about these names, if there are any."""
    names = sorted(names)
    if not names:
        return []
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return [f"{what}: {', '.join(names[:NAMED_AT_MOST])}{more}"]
