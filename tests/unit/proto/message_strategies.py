"""Hypothesis strategies for every message, read off the pydantic models themselves."""

from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
from annotated_types import Ge, Le, MaxLen
from hypothesis import strategies as st
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from proto.message import MAX_COUNT, Message
from proto.messages import HiddenChunk
from proto.tensor import Tensor
from proto.time_law import TOKEN_SAMPLES

MAX_TEXT = 200
MAX_ITEMS = 4
MAX_DIMENSION = 6


@st.composite
def messages(draw: st.DrawFn, cls: type[Message]) -> Message:
    """Any message of a kind that keeps the laws which its types cannot say."""
    sizes = {letter: draw(st.integers(0, MAX_DIMENSION)) for letter in "TSDN"}
    if cls is HiddenChunk:
        sizes["N"] = sizes["T"] * TOKEN_SAMPLES
    fields = {name: draw(_field(info, sizes)) for name, info in cls.model_fields.items()}
    if cls is HiddenChunk:
        fields["audio_tokens"] = sizes["T"]
        if fields["audio_ids"] is not None:
            fields["audio_ids"] = np.abs(fields["audio_ids"] // 2)
        elif fields["pcm"] is None:
            fields["pcm"] = np.zeros(sizes["N"], np.int16)
        end = min(fields["first_token"] + sizes["T"], MAX_COUNT + 1)
        tokens = range(fields["first_token"], end)
        changes = zip(tokens, fields["moods"] or (), strict=False)
        fields["moods"] = tuple(m.model_copy(update={"first_token": t}) for t, m in changes) or None
    return cls(**fields)


def _field(info: FieldInfo, sizes: dict[str, int]) -> st.SearchStrategy[Any]:
    return _values(info.annotation, list(info.metadata), sizes)


def _values(kind: Any, rules: list[Any], sizes: dict[str, int]) -> st.SearchStrategy[Any]:
    """Values of an annotation under its rules."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        flat = [r for rule in inside[1:] for r in getattr(rule, "metadata", [rule])]
        return _values(inside[0], [*rules, *flat], sizes)
    if origin is Literal:
        return st.sampled_from(inside)
    if origin is tuple:
        items = _values(inside[0], [], sizes)
        return st.lists(items, max_size=_limit(rules, MAX_ITEMS)).map(tuple)
    if origin is dict:
        keys, items = (_values(part, [], sizes) for part in inside)
        return st.dictionaries(keys, items, max_size=MAX_ITEMS)
    if NoneType in inside:
        return st.none() | _values(next(a for a in inside if a is not NoneType), rules, sizes)
    return _plain(kind, rules, sizes)


def _plain(kind: Any, rules: list[Any], sizes: dict[str, int]) -> st.SearchStrategy[Any]:
    least = next((rule.ge for rule in rules if isinstance(rule, Ge)), None)
    most = next((rule.le for rule in rules if isinstance(rule, Le)), None)
    if kind is np.ndarray:
        return tensors(next(rule for rule in rules if isinstance(rule, Tensor)), sizes)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(least, most)
    if kind is float:
        return st.floats(least, most, allow_nan=False, allow_infinity=False)
    if kind is str:
        return _texts(next((r for r in rules if isinstance(r, StringConstraints)), None))
    if issubclass(kind, BaseModel):
        parts = {name: _field(info, sizes) for name, info in kind.model_fields.items()}
        return st.builds(kind, **parts)
    raise TypeError(f"no strategy for {kind}")


def _texts(rule: StringConstraints | None) -> st.SearchStrategy[str]:
    if rule is not None and rule.pattern is not None:
        # Python's $ also matches before a line feed, pydantic's does not.
        pattern = str(rule.pattern).removesuffix("$") + r"\Z"
        return st.from_regex(pattern).filter(lambda text: len(text) <= (rule.max_length or 1000))
    least = (rule and rule.min_length) or 0
    most = min((rule and rule.max_length) or MAX_TEXT, MAX_TEXT)
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=most)


@st.composite
def tensors(draw: st.DrawFn, rule: Tensor, sizes: dict[str, int]) -> np.ndarray:
    """Finite numbers of a tensor's rule; drawn from a seed, as their values matter little."""
    shape = tuple(sizes[size] if isinstance(size, str) else size for size in rule.shape)
    numbers = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = np.dtype(rule.dtype)
    if kind.kind == "f":
        return numbers.normal(0, 100, shape).astype(kind)
    limits = np.iinfo(kind)
    return numbers.integers(limits.min, limits.max, shape, kind, endpoint=True)


def _limit(rules: list[Any], most: int) -> int:
    return min([most, *(rule.max_length for rule in rules if isinstance(rule, MaxLen))])
