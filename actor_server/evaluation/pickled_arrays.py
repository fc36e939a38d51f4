"""Arrays out of a pickle that is never unpickled: its opcodes are read, and nothing is called.

A pickle is a small program that may call whatever it names. Of that language only what writes
numbers, names, tables and numpy's arrays is understood here; anything else is refused. An array
is three calls in a pickle: numpy's `_reconstruct` makes an empty one, `dtype` its type, and a state
of (1, shape, type, order, bytes) fills it.

Source: PEP 3154 and the opcodes of Python's `pickletools`; `ndarray.__reduce__` of NumPy.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_CONSTANTS: Final = {
    "BININT", "BININT1", "BININT2", "BINBYTES", "SHORT_BINBYTES", "SHORT_BINUNICODE",
    "BINUNICODE",
}  # fmt: skip
_SINGLES: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED: Final = {"PROTO", "FRAME"}
_EMPTY_ARRAY: Final = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
_ARRAY: Final = ("numpy", "ndarray")
_TYPE: Final = ("numpy", "dtype")
_TYPES: Final = {"f2", "f4", "f8", "i4", "i8"}


class PickleRefused(ValueError):
    """The file is damaged, or more than tables of arrays; the text says what is in the way."""


@dataclass
class _Stored:
    """An array whose state comes later."""

    array: NDArray[Any] | None = None


@dataclass
class _Reader:
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: list[Any] = field(default_factory=list)

    def do(self, name: str, given: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(given)
        elif name in _SINGLES:
            self.stack.append(_SINGLES[name])
        elif name in _TUPLES:
            self.stack.append(tuple(self.take(_TUPLES[name])))
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[given])
        elif name not in _IGNORED:
            step = _STEPS.get(name)
            if step is None:
                raise PickleRefused(f"it holds the opcode {name}")
            step(self)

    def take(self, count: int) -> list[Any]:
        """The last of the stack."""
        first = len(self.stack) - count
        taken = self.stack[first:]
        del self.stack[first:]
        return taken

    def since_mark(self) -> list[Any]:
        return self.take(len(self.stack) - self.marks.pop())

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def memoize(self) -> None:
        self.memo.append(self.stack[-1])

    def empty_table(self) -> None:
        self.stack.append({})

    def tuple_(self) -> None:
        self.stack.append(tuple(self.since_mark()))

    def items(self) -> None:
        self._set(self.since_mark())

    def item(self) -> None:
        self._set(self.take(2))

    def _set(self, items: list[Any]) -> None:
        table = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            table[key] = value

    def name(self) -> None:
        self.stack.append(tuple(self.take(2)))

    def call(self) -> None:
        called, given = self.take(2)
        if called in _EMPTY_ARRAY and given[0] == _ARRAY:
            self.stack.append(_Stored())
        elif called == _TYPE and given[0] in _TYPES:
            self.stack.append(np.dtype(given[0]).newbyteorder("<"))
        else:
            raise PickleRefused(f"it calls {'.'.join(called)}")

    def build(self) -> None:
        (state,) = self.take(1)
        built = self.stack[-1]
        if isinstance(built, np.dtype):
            if state[1] != "<":
                raise PickleRefused(f"its numbers are {state[1]!r}, not little-endian")
            return
        _, shape, kind, by_columns, content = state
        flat = np.frombuffer(content, kind)
        built.array = flat.reshape(shape, order="F" if by_columns else "C")


_STEPS: Final[dict[str, Callable[[_Reader], None]]] = {
    "MARK": _Reader.mark,
    "MEMOIZE": _Reader.memoize,
    "EMPTY_DICT": _Reader.empty_table,
    "TUPLE": _Reader.tuple_,
    "SETITEM": _Reader.item,
    "SETITEMS": _Reader.items,
    "STACK_GLOBAL": _Reader.name,
    "REDUCE": _Reader.call,
    "BUILD": _Reader.build,
    "STOP": lambda _reader: None,
}


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of nested tables by their path, as `params/Conv_0/kernel`; read-only.

    Raises: PickleRefused for anything else.
    """
    reader = _Reader()
    try:
        for opcode, given, _ in pickletools.genops(content):
            reader.do(opcode.name, given)
        (whole,) = reader.stack
        return _flat(whole)
    except PickleRefused:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise PickleRefused(f"it is damaged ({error})") from error


def _flat(tables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for name, value in tables.items():
        if isinstance(value, _Stored) and value.array is not None:
            found[name] = value.array
        else:
            found |= {f"{name}/{inner}": array for inner, array in _flat(value).items()}
    return found
