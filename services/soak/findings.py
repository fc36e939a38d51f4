"""The figures of a soak, each beside its goal."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from reporting.trend import Trend, trend
from services.soak.samples import MEASURING, Reception, Sample, Soak
from services.soak.series import Curves, Values, curves

WARM_UP_SHARE = 0.1
"""Caches fill and heaps settle in the first tenth; slopes are of the rest."""

MOST_STOLEN = 0.05
"""Of the processors' time: where the host of a virtual machine takes more, a call is disturbed."""

OUTCOMES: dict[str, dict[str, float]] = {
    "completed": {},
    "interrupted": {},
    "empty": {"high": 0},
    "failed": {"high": 0},
}
"""How the gateway traced turns, and what should not be among them."""

Verdict = Literal["met", "missed", "undecided", ""]
"""Empty: there is no goal. Undecided: the soak was too short or too uneven to tell."""


@dataclass(frozen=True)
class Finding:
    """One figure. `low`, `high`: 95 % confidence of a slope."""

    key: str
    label: str
    unit: str
    value: float | None
    low: float | None = None
    high: float | None = None
    wanted: str = ""
    verdict: Verdict = ""


@dataclass(frozen=True)
class SlopeGoal:
    """How fast a figure may change in an hour.

    It is met where the whole interval keeps the bound, and missed where all of it lies beyond; or,
    if `both_ways`, where the slope does and the interval does not hold zero. Else it is undecided.
    """

    bound: float
    both_ways: bool = False

    def verdict(self, slope: Trend | None) -> Verdict:
        """Hold a slope against the goal."""
        if slope is None:
            return "undecided"
        if self.both_ways:
            met = -self.bound <= slope.low and slope.high <= self.bound
            still = slope.low <= 0 <= slope.high
            missed = abs(slope.per_hour) >= self.bound and not still
        else:
            met = slope.high <= self.bound
            missed = slope.low > self.bound
        return "met" if met else "missed" if missed else "undecided"

    def wanted(self) -> str:
        """The goal in a few signs."""
        return f"0, or < {self.bound:g}" if self.both_ways else f"<= {self.bound:g}"


MEMORY = SlopeGoal(20.0)
HANDLES = SlopeGoal(5.0)
AV_OFFSET = SlopeGoal(5.0, both_ways=True)
IDENTITY = SlopeGoal(0.02, both_ways=True)


def findings(soak: Soak) -> list[Finding]:
    """Everything worth a line."""
    drawn = curves(soak.samples)
    return [
        *_call(soak.samples),
        _level(
            "pss_mb", "memory (PSS) of all processes, mean", "MB", _mean(drawn.single["pss_mb"])
        ),
        _level(
            "handles", "file handles of all processes, mean", "", _mean(drawn.single["handles"])
        ),
        _level("stolen", "processor time that the host took", "", _mean(drawn.single["stolen"])),
        *_slopes(drawn),
        *_undisturbed(soak.samples, drawn),
        _level(
            "cost_s",
            "CPU time of a sample",
            "s",
            _mean([s.cost_s for s in soak.samples]),
            high=0.3,
        ),
    ]


def slope(at_h: Sequence[float], values: Values) -> Trend | None:
    """The trend after the warm-up."""
    since_h = WARM_UP_SHARE * at_h[-1] if at_h else 0.0
    first = next((index for index, at in enumerate(at_h) if at >= since_h), 0)
    return trend(at_h[first:], values[first:])


def _call(samples: Sequence[Sample]) -> list[Finding]:
    """What the caller got."""
    hours = samples[-1].at_s / 3600
    got = [sample.reception for sample in samples]
    faces = [ms for sample in samples for ms in sample.voice_to_face_ms]
    seen = [sample.likeness.portrait for sample in samples if sample.likeness]
    freezes = sum(one.freezes for one in got) / (60 * hours)
    outcomes: Counter[str] = Counter()
    for sample in samples:
        outcomes.update(sample.outcomes)
    incidents = samples[-1].incidents
    return [
        _level("hours", "length of the call", "h", hours),
        _level("asked", "questions asked", "", samples[-1].asked),
        _level("barge_ins", "answers cut into", "", samples[-1].barge_ins),
        _level(
            "unanswered",
            "questions without an answer",
            "",
            sum(len(sample.unanswered) for sample in samples),
            high=0,
        ),
        *(
            _level(f"turns_{name}", f"turns traced as {name}", "", outcomes[name], **bounds)
            for name, bounds in OUTCOMES.items()
        ),
        _level("restarts", "processes started again", "", samples[-1].restarts, high=0),
        *(
            _level(f"incidents_{name.replace(' ', '_')}", name, "", count, high=0)
            for name, count in incidents.items()
        ),
        _level("fps", "frames a second", "", _mean([one.fps for one in got]), low=24.0),
        _level("freezes_per_minute", "freezes a minute", "", freezes, high=1.0),
        _level("frozen_ms", "standing still in all", "ms", sum(one.frozen_ms for one in got)),
        _level("concealed_ms", "sound made up in all", "ms", sum(o.concealed_ms for o in got)),
        *_offsets(got),
        _level("sound_held_ms", "sound held", "ms", _mean([o.sound_held_ms for o in got])),
        _level("picture_held_ms", "picture held", "ms", _mean([o.picture_held_ms for o in got])),
        _level("voice_to_face_ms_p50", "voice end to lips moving, p50", "ms", _middle(faces)),
        _level(
            "voice_to_face_ms_p95",
            "voice end to lips moving, p95",
            "ms",
            _p95(faces),
        ),
        _level("identity", "likeness with the portrait, median", "", _middle(seen), low=0.8),
        _level("identity_min", "the least of it", "", min(seen, default=None)),
    ]


def _offsets(got: Sequence[Reception]) -> list[Finding]:
    """How far apart sound and picture were: of all readings, or of samples that kept none."""
    median, p95 = "median", "p95"
    if any(one.av_offsets_ms is None for one in got):
        median, p95 = "median of samples' medians", "p95 of samples' p95"
        middles = [one.av_offset_ms for one in got if one.av_offset_ms is not None]
        late = [one.av_offset_abs_p95_ms for one in got if one.av_offset_abs_p95_ms is not None]
    else:
        middles = [offset for one in got for offset in one.av_offsets_ms or ()]
        late = [abs(offset) for offset in middles]
    return [
        _level("av_offset_ms", f"picture late against sound, {median}", "ms", _middle(middles)),
        _level("av_offset_abs_p95_ms", f"lateness either way, {p95}", "ms", _p95(late), high=45.0),
    ]


def _slopes(drawn: Curves) -> list[Finding]:
    single = drawn.single
    return [
        _slope("memory", "heap of all processes", "MB/h", drawn, single["heap_mb"], MEMORY),
        *(
            _slope(
                f"memory_{name.replace(' ', '_')}",
                f"heap of {name}",
                "MB/h",
                drawn,
                values,
            )
            for name, values in drawn.heap_mb.items()
            if name != MEASURING
        ),
        _slope("handles", "file handles of all processes", "/h", drawn, single["handles"], HANDLES),
        _slope("threads", "threads of all processes", "/h", drawn, single["threads"], HANDLES),
        _slope(
            "av_offset_ms",
            "picture late against sound",
            "ms/h",
            drawn,
            single["av_offset_ms"],
            AV_OFFSET,
        ),
        _slope("fps", "frames a second", "/h", drawn, single["fps"]),
        _slope("voice_to_face_ms", "voice to face", "ms/h", drawn, single["voice_to_face_ms"]),
        _slope("identity", "likeness with the portrait", "/h", drawn, single["identity"], IDENTITY),
        _slope("sharpness", "sharpness", "/h", drawn, single["sharpness"]),
    ]


def _undisturbed(samples: Sequence[Sample], drawn: Curves) -> list[Finding]:
    """The same once more where the host left the processors to the call, and half a minute before.

    Nothing where it always did, or where nobody knows.
    """
    calm = [
        max(before.stolen or 0.0, now.stolen or 0.0) <= MOST_STOLEN
        for before, now in pairwise([samples[0], *samples])
    ]
    if all(calm):
        return []
    got = [sample.reception for sample, kept in zip(samples, calm, strict=True) if kept]
    offsets = [
        value if kept else None
        for value, kept in zip(drawn.single["av_offset_ms"], calm, strict=True)
    ]
    within = f"where the host took at most {MOST_STOLEN:.0%}"
    rows = [
        _level("fps", "frames a second", "", _mean([one.fps for one in got]), low=24.0),
        *_offsets(got),
        _slope("av_offset_ms", "picture late against sound", "ms/h", drawn, offsets, AV_OFFSET),
    ]
    return [
        _level("undisturbed", f"share of the call {within}", "", sum(calm) / len(calm)),
        *(
            replace(row, key=f"undisturbed_{row.key}", label=f"{row.label}, {within}")
            for row in rows
        ),
    ]


def _slope(
    key: str, label: str, unit: str, drawn: Curves, values: Values, goal: SlopeGoal | None = None
) -> Finding:
    found = slope(drawn.at_h, values)
    wanted = goal.wanted() if goal else ""
    verdict: Verdict = goal.verdict(found) if goal else ""
    row = Finding(f"{key}_slope", f"slope: {label}", unit, None, wanted=wanted, verdict=verdict)
    if found is None:
        return row
    return replace(row, value=found.per_hour, low=found.low, high=found.high)


def _level(
    key: str,
    label: str,
    unit: str,
    value: float | None,
    *,
    low: float = -math.inf,
    high: float = math.inf,
) -> Finding:
    wanted = "" if low == -math.inf else f">= {low:g}"
    if high < math.inf:
        wanted = "0" if high == 0 else f"<= {high:g}"
    if not wanted:
        return Finding(key, label, unit, value)
    if value is None:
        return Finding(key, label, unit, None, wanted=wanted, verdict="undecided")
    met = low <= value <= high
    return Finding(key, label, unit, value, wanted=wanted, verdict="met" if met else "missed")


def _mean(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None


def _middle(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _p95(values: Sequence[float]) -> float | None:
    return float(np.percentile(values, 95)) if values else None
