"""Synthetic soaks with a known truth."""

import numpy as np

from services.soak.samples import (
    About,
    Likeness,
    ProcessUse,
    Reception,
    Sample,
    Soak,
    Unanswered,
)

MACHINE = {
    "processor": "none",
    "cores": 2,
    "memory_gib": 4.0,
    "system": "Linux",
    "python": "3.11",
    "commit": "0123456789abcdef",
    "changed_files": 0,
    "measured_at": "2026-01-01T00:00:00+00:00",
}
ABOUT = About(machine=MACHINE, preset="nano", avatar="mara", brain="a model", hours=1.0)


def soak(
    *,
    hours: float = 1.0,
    leak_mb: float = 0.0,
    leaked_handles: float = 0.0,
    drift_ms: float = 0.0,
    ageing: float = 0.0,
    fps: float = 25.0,
    silent_at_s: float | None = None,
    restarts: int = 0,
    jitter_ms: float = 2.0,
    seed: int = 1,
) -> Soak:
    """A call sampled every half minute. Leak, drift and ageing are per hour; all is noisy.

    `jitter_ms`: by how much the offsets of picture and sound differ from sample to sample.
    """
    dice = np.random.default_rng(seed)
    samples = []
    wander = 0.0
    for at in range(1, round(hours * 120) + 1):
        at_h = at / 120
        wander = 0.5 * wander + dice.normal(0, 3)  # neighbours resemble each other
        thinker = _use(1000 + wander + leak_mb * at_h, 24 + round(leaked_handles * at_h))
        late = silent_at_s is not None and 0 <= at * 30 - silent_at_s < 30
        lost = [Unanswered(at_s=silent_at_s or 0, question="france")] if late else []
        offset_ms = 20 + drift_ms * at_h + dice.normal(0, jitter_ms)
        face = Likeness(
            portrait=0.95 - ageing * at_h + dice.normal(0, 0.01),
            first=0.98,
            sharpness=400 + dice.normal(0, 10),
        )
        sample = Sample(
            at_s=30.0 * at,
            processes={
                "thinker": thinker,
                "actor": _use(500 + dice.normal(0, 2), 24),
                "browser": _use(600 + 500 * at_h, 400 + at),
                "measuring": _use(300, 15),
            },
            reception=Reception(
                fps=fps + dice.normal(0, 0.1),
                freezes=0,
                frozen_ms=0.0,
                concealed_ms=0.0,
                packets_lost=0,
                av_offset_ms=offset_ms,
                av_offset_abs_p95_ms=abs(offset_ms) + 10,
                av_offsets_ms=[offset_ms - 10, offset_ms, offset_ms + 10],
            ),
            likeness=face if at % 2 else None,
            asked=at,
            barge_ins=at // 5,
            unanswered=lost,
            voice_to_face_ms=[1300 + dice.normal(0, 200)],
            outcomes={"completed": 1},
            restarts=restarts,
            incidents={"connection lost": 0},
            cost_s=0.2,
        )
        samples.append(sample)
    return Soak(ABOUT, samples, "complete")


def _use(heap_mb: float, handles: int) -> ProcessUse:
    return ProcessUse(
        processes=1,
        heap_mb=heap_mb,
        pss_mb=heap_mb + 50,
        rss_mb=heap_mb + 90,
        handles=handles,
        threads=8,
        cpu_s=1.0,
    )
