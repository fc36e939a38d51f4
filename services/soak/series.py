"""The curves of a soak: one value a sample, None where it was not measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from services.soak.samples import ProcessUse, Sample

MOST_POINTS = 150

Values = list[float | None]


@dataclass(frozen=True)
class Curves:
    """Every curve on one time axis, hours since the call began. Processes by name."""

    at_h: list[float]
    single: dict[str, Values]
    heap_mb: dict[str, Values]
    handles: dict[str, Values]
    cpu_percent: dict[str, Values]


def curves(samples: Sequence[Sample]) -> Curves:
    """Draw the curves out of the samples."""
    names = sorted({name for sample in samples for name in sample.processes})
    return Curves(
        at_h=[sample.at_s / 3600 for sample in samples],
        single={
            "heap_mb": _product(samples, lambda use: use.heap_mb),
            "pss_mb": _product(samples, lambda use: use.pss_mb),
            "handles": _product(samples, lambda use: use.handles),
            "threads": _product(samples, lambda use: use.threads),
            "fps": [sample.reception.fps for sample in samples],
            "freezes": [float(sample.reception.freezes) for sample in samples],
            "concealed_ms": [sample.reception.concealed_ms for sample in samples],
            "av_offset_ms": [sample.reception.av_offset_ms for sample in samples],
            "av_offset_abs_p95_ms": [sample.reception.av_offset_abs_p95_ms for sample in samples],
            "sound_held_ms": [sample.reception.sound_held_ms for sample in samples],
            "picture_held_ms": [sample.reception.picture_held_ms for sample in samples],
            "stolen": [sample.stolen for sample in samples],
            "voice_to_face_ms": [
                median(sample.voice_to_face_ms) if sample.voice_to_face_ms else None
                for sample in samples
            ],
            "identity": [s.likeness.portrait if s.likeness else None for s in samples],
            "identity_first": [s.likeness.first if s.likeness else None for s in samples],
            "sharpness": [s.likeness.sharpness if s.likeness else None for s in samples],
        },
        heap_mb={name: _of(samples, name, lambda use: use.heap_mb) for name in names},
        handles={name: _of(samples, name, lambda use: use.handles) for name in names},
        cpu_percent={name: _cpu(samples, name) for name in names},
    )


def thinned(values: Values) -> Values:
    """At most MOST_POINTS values: the means of equal stretches."""
    stretches = np.array_split(np.arange(len(values)), min(len(values), MOST_POINTS))
    return [_mean([values[at] for at in stretch]) for stretch in stretches]


def _mean(values: Values) -> float | None:
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None


def _product(samples: Sequence[Sample], figure: Callable[[ProcessUse], float]) -> Values:
    return [float(sum(figure(use) for use in sample.product.values())) for sample in samples]


def _of(samples: Sequence[Sample], name: str, figure: Callable[[ProcessUse], float]) -> Values:
    uses = [sample.processes.get(name) for sample in samples]
    return [None if use is None else float(figure(use)) for use in uses]


def _cpu(samples: Sequence[Sample], name: str) -> Values:
    """Share of one core since the sample before."""
    shares: Values = [None]
    for before, now in pairwise(samples):
        earlier, later = before.processes.get(name), now.processes.get(name)
        seconds = now.at_s - before.at_s
        if earlier is None or later is None or later.cpu_s < earlier.cpu_s or seconds <= 0:
            shares.append(None)  # it was started again
        else:
            shares.append(100 * (later.cpu_s - earlier.cpu_s) / seconds)
    return shares
