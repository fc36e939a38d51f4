"""What a fuzzing run found."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figures:
    """Of one target. `taken`: inputs that were valid; `crashes`: any answer but a clean one."""

    target: str
    executions: int
    taken: int
    crashes: int
    seconds: float
    peak_mb: float | None = None
    findings: tuple[str, ...] = ()
    answers: dict[str, int] = field(default_factory=dict)
