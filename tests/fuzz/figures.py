"""What a fuzzing run found."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figures:
    """Of one target. `taken`: inputs that were valid; `crashes`: any answer but a clean one.

    `peak_mb`: of this process, above its start; `decoder_peak_mb`: the largest resident set of the
    processes that it gave pictures to. `answers`: how often which answer came.
    """

    target: str
    executions: int
    taken: int
    crashes: int
    seconds: float
    peak_mb: float | None = None
    decoder_peak_mb: float | None = None
    findings: tuple[str, ...] = ()
    answers: dict[str, int] = field(default_factory=dict)
