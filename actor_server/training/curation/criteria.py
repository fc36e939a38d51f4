"""What a clip must fulfil to be learned from, in pretraining and in fine-tuning."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, Self, cast

Purpose = Literal["pretrain", "finetune"]
Sign = Literal[">", ">=", "="]


class CriteriaUnusable(ValueError):
    """A criterion that does not exist, or whose bound nobody can read; the text says which."""


@dataclass(frozen=True)
class Bound:
    """`> 3.5`, `>= 70` or `= 1`."""

    sign: Sign
    limit: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one. Raises CriteriaUnusable."""
        found = re.fullmatch(r"\s*(>=|>|=)\s*(-?\d+(?:\.\d+)?)\s*", text)
        if found is None:
            raise CriteriaUnusable(f"{text!r} is no bound: write > 3.5, >= 70 or = 1")
        return cls(cast(Sign, found[1]), float(found[2]))

    def holds(self, value: float) -> bool:
        """Whether a measured value passes; what is not a number does not."""
        if self.sign == "=":
            return value == self.limit
        return value > self.limit or (self.sign == ">=" and math.isclose(value, self.limit))

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


@dataclass(frozen=True)
class Criteria:
    """shortest_s, longest_s: of a clip; longer scenes are cut into equal parts.

    lip_sync: SyncNet's confidence. people: how many are visible, in every picture looked at.
    face_share: of those pictures, how many show exactly one face. quality: KonIQ++'s, 0 to 100.
    text: pieces of overlay text or watermark. languages: as ISO 639-1 names them.
    """

    shortest_s: float
    longest_s: float
    lip_sync: Bound
    quality: Bound
    people: Bound = Bound("=", 1)
    face_share: Bound = Bound(">=", 0.95)
    text: Bound = Bound("=", 0)
    languages: tuple[str, ...] = ("en", "zh")

    def __post_init__(self) -> None:
        if not 0 < self.shortest_s <= self.longest_s:
            raise CriteriaUnusable(
                f"clips of {self.shortest_s:g} to {self.longest_s:g} s: the shortest must be "
                "longer than 0 and no longer than the longest"
            )

    def changed(self, given: Mapping[str, Any]) -> Self:
        """These, with some given as a TOML table. Raises CriteriaUnusable."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        if unknown := given.keys() - known.keys():
            raise CriteriaUnusable(
                f"there is no criterion {', '.join(sorted(unknown))}; there are {', '.join(known)}"
            )
        return replace(self, **{name: _like(known[name], name, given[name]) for name in given})


PRESETS: Final[dict[Purpose, Criteria]] = {
    "pretrain": Criteria(5, 20, lip_sync=Bound(">", 3.5), quality=Bound(">=", 0)),
    "finetune": Criteria(5, 60, lip_sync=Bound(">=", 5.0), quality=Bound(">=", 70)),
}
"""SyncNet's and KonIQ++'s bounds are the paper's, which gives none for quality in pretraining: it
is measured there. So are one visible person, no text, and pretraining's 5 to 20 s. face_share and
the lengths of fine-tuning are ours (the paper's clips of more than 20 s last 41 s on average)."""


def _like(known: Any, name: str, given: Any) -> Any:
    """What a TOML file says, as the kind of value that the criterion has."""
    if isinstance(known, Bound) and isinstance(given, str):
        return Bound.parse(given)
    if isinstance(known, tuple) and isinstance(given, list):
        return tuple(str(language) for language in given)
    if isinstance(known, int | float) and isinstance(given, int | float):
        return float(given)
    wanted = 'text like ">= 70"' if isinstance(known, Bound) else "a list of languages"
    wanted = "a number of seconds" if isinstance(known, int | float) else wanted
    raise CriteriaUnusable(f"{name} = {given!r}, must be {wanted}")
