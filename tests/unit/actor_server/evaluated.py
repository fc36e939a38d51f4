"""Rows of a table with known figures, for tests of what is made of them."""

from actor_server.evaluation.articulation import Articulation
from actor_server.evaluation.audio_lip_judge import SHIFT
from actor_server.evaluation.scoring import Row, SyncFigures


def shifts(**counts: int) -> tuple[int, ...]:
    """Stretches by best shift: `shifts(m4=2, p0=5)` has two at -4 and five at 0."""
    found = [0] * (2 * SHIFT + 1)
    for name, count in counts.items():
        found[SHIFT + int(name[1:]) * (1 if name[0] == "p" else -1)] = count
    return tuple(found)


def synced(
    confidence: float,
    near: float = 1.0,
    distance: float = 0.8,
    found: tuple[int, ...] | None = None,
) -> SyncFigures:
    counted = found or shifts(p0=10)
    return SyncFigures(
        stretches=sum(counted),
        confidence=confidence,
        distance=distance,
        unshifted=distance,
        near=near,
        shifts=counted,
        preferred=1.0,
        margin=0.5,
        margin_error=0.0,
    )


def articulated(closure: float = 1.0, **phones: tuple[float, int]) -> Articulation:
    """Phones by mean gap and count."""
    return Articulation(
        apertures={symbol: gap for symbol, (gap, _) in phones.items()},
        counts={symbol: count for symbol, (_, count) in phones.items()},
        closure_rate=closure,
        aperture_error=0.0,
        gap_correlation=1.0,
        gap_size=1.0,
    )


def row(
    system: str,
    takes: str = "grid",
    lips: str = "latents",
    sync: SyncFigures | None = None,
    articulation: Articulation | None = None,
) -> Row:
    return Row(system, takes, lips, sync, articulation, None)
