"""One cell of a table: a figure, found by its path, as people read it."""

from dataclasses import is_dataclass
from typing import Any


def at(value: Any, path: str) -> Any:
    """Follow a dotted path through attributes and keys; None where it ends, or is not measured."""
    for name in path.split("."):
        if value is None:
            return None
        value = getattr(value, name, None) if is_dataclass(value) else value.get(name)
    return value


def cell(value: float | int | None) -> str:
    """Three decimals, none from 100 on; empty where nothing was measured."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"
