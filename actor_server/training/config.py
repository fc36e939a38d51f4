"""What a training run is: its budget, its stages, its masks; presets for nano and a smoke run."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

Levels = Literal["uniform", "logit-normal"]


@dataclass(frozen=True)
class Stage:
    """One part of a run. Rates fall from `peak_rate` to `final_rate` along a cosine.

    share: of the run's budget. crop_chunks: length of a training sequence. clean_share: lowest and
    highest share of clean chunks in a sequence, drawn anew for each sequence.
    parts: batches whose gradients make one step, shared out among the processes of a run.
    noise_steps: N, where levels are those of N sampling steps; 0 draws them from a continuum.
    levels: how a noisy chunk's level is drawn; "logit-normal" (Esser et al., arXiv 2403.03206, 3.1)
    draws more in the middle.
    """

    name: str
    share: float
    crop_chunks: int
    batch: int
    peak_rate: float
    final_rate: float
    clean_share: tuple[float, float]
    parts: int = 1
    noise_steps: int = 0
    levels: Levels = "uniform"


@dataclass(frozen=True)
class Hiding:
    """Chances that a condition, or a part of it, is withheld, so that the model can do without.

    `condition` per chunk, replaced by the learned null; the others per sequence. Phones are hidden
    too because another Thinker's voice may give none, texts because another brain's states mean
    nothing here. The data hides both in nearly half of its sequences already.
    """

    condition: float = 0.05
    phones: float = 0.05
    features: float = 0.1
    text: float = 0.1


@dataclass(frozen=True)
class Ablation:
    """The rows of the paper's ablation (table 2, section 4.3) that change the training.

    teacher_forcing: one noisy chunk after clean ground truth, instead of a level per chunk.
    no_reference: the portrait's tokens are not seen. token_causal: attention is causal token by
    token, not bidirectional inside a chunk.
    """

    teacher_forcing: bool = False
    no_reference: bool = False
    token_causal: bool = False

    @property
    def name(self) -> str:
        """Return "full" or the names of what is taken away, for file names and tables."""
        removed = [flag for flag, on in asdict(self).items() if on]
        return "+".join(removed) or "full"


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the weights besides the data and the budget."""

    stages: tuple[Stage, ...]
    hiding: Hiding = field(default_factory=Hiding)
    ablation: Ablation = field(default_factory=Ablation)
    seed: int = 1
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    warmup_steps: int = 200
    ema_decay: float | None = 0.9985
    """None: the trained weights themselves are shipped."""

    def __post_init__(self) -> None:
        total = sum(stage.share for stage in self.stages)
        if not self.stages or abs(total - 1.0) > 1e-6:
            raise ValueError(f"the stages' shares of the budget add up to {total:.3f}, not 1")

    def stage_at(self, progress: float) -> tuple[Stage, float]:
        """The stage at `progress` (0..1 of the whole run) and the progress within that stage."""
        begin = 0.0
        for stage in self.stages:
            if progress < begin + stage.share or stage is self.stages[-1]:
                return stage, min(max((progress - begin) / stage.share, 0.0), 1.0)
            begin += stage.share
        raise AssertionError("a run has at least one stage")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def ablated(self, ablation: Ablation) -> "TrainingConfig":
        """The same run without what `ablation` takes away."""
        return replace(self, ablation=ablation)

    def with_levels(self, levels: Levels) -> "TrainingConfig":
        """The same run with noise levels drawn so."""
        return replace(self, stages=tuple(replace(stage, levels=levels) for stage in self.stages))


@dataclass(frozen=True)
class Budget:
    """How long a run goes on: `minutes` of training or `steps`, whichever is given."""

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give a run either minutes or steps")

    def progress(self, step: int, trained_s: float) -> float:
        """Share of the budget that is spent, 0..1 and beyond."""
        if self.steps is not None:
            return step / self.steps
        assert self.minutes is not None
        return trained_s / (60 * self.minutes)


PRETRAIN: Final = Stage("pretrain", 0.7, 16, 8, 1e-3, 3e-4, (0.0, 0.6))
FINETUNE: Final = Stage("finetune", 0.3, 36, 4, 3e-4, 1e-6, (0.5, 0.95))
NANO: Final = TrainingConfig((PRETRAIN, FINETUNE))
MORE: Final = replace(
    NANO,
    stages=(
        replace(PRETRAIN, share=0.6, peak_rate=4e-4, final_rate=2e-4),
        replace(FINETUNE, share=0.4, peak_rate=2e-4),
    ),
)
"""For weights that are trained already: lower rates, which do not shake them apart."""
SMOKE: Final = TrainingConfig(
    (
        replace(PRETRAIN, crop_chunks=6, batch=4),
        replace(FINETUNE, crop_chunks=12, batch=2),
    ),
    warmup_steps=10,
    ema_decay=0.95,
)
PRESETS: Final = {"nano": NANO, "nano-more": MORE, "smoke": SMOKE}

PAPER_RATE: Final = 1e-5
PAPER_NOISE_STEPS: Final = 25
PAPER: Final = TrainingConfig(
    (
        Stage(
            "pretrain",
            share=1.0,
            crop_chunks=62,
            batch=2,
            peak_rate=PAPER_RATE,
            final_rate=PAPER_RATE,
            clean_share=(0.0, 0.6),
            parts=256,
            noise_steps=PAPER_NOISE_STEPS,
        ),
    ),
    hiding=Hiding(condition=0.0, phones=0.0, features=0.0, text=0.0),
    betas=(0.9, 0.999),
    weight_decay=0.01,
    warmup_steps=1,
    ema_decay=None,
)
"""The paper's first stage (4.1): AdamW at 1e-5, 2 clips of up to 20 s on each of 256 GPUs, N = 25.

It mentions no schedule, no moments or decay of AdamW, no average of the weights and no dropout of
conditions: the rate is constant, AdamW has torch's defaults, the rest is off. The share of clean
chunks and the bound on the gradient's norm are ours.
"""


@dataclass(frozen=True)
class PaperStage:
    """A stage of the paper as a run of its own; `epochs` of the data, or `steps`."""

    config: TrainingConfig
    epochs: int | None = None
    steps: int | None = None

    def budget(self, clips: int) -> Budget:
        """In steps, for a dataset of so many clips."""
        if self.steps is not None:
            return Budget(steps=self.steps)
        assert self.epochs is not None
        (stage,) = self.config.stages
        return Budget(steps=-(-self.epochs * clips // (stage.batch * stage.parts)))

    def resized(
        self,
        batch: int | None = None,
        parts: int | None = None,
        crop_chunks: int | None = None,
        steps: int | None = None,
    ) -> "PaperStage":
        """With other sizes where they are given, for other machines than the paper's."""
        (stage,) = self.config.stages
        stage = replace(
            stage,
            batch=batch or stage.batch,
            parts=parts or stage.parts,
            crop_chunks=crop_chunks or stage.crop_chunks,
        )
        return PaperStage(
            replace(self.config, stages=(stage,)),
            None if steps else self.epochs,
            steps or self.steps,
        )


PAPER_STAGES: Final = {
    "paper-pretrain": PaperStage(PAPER, epochs=3),
    "paper-finetune": PaperStage(
        replace(
            PAPER,
            stages=(
                replace(
                    PAPER.stages[0],
                    name="finetune",
                    crop_chunks=96,
                    batch=1,
                    parts=8,
                    clean_share=(0.5, 0.95),
                ),
            ),
        ),
        steps=200_000,
    ),
}
"""The second stage's batch and length of crops are not in the paper: 8 crops of 31 s a step pass
over its 220 K recordings seven times, and are three times as long as what a chunk looks back on."""
