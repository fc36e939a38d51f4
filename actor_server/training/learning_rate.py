"""Learning rate of a run: warm-up over its first steps, a cosine within each stage."""

from math import cos, pi

from actor_server.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, progress: float) -> float:
    """Rate of step `step` (counted from 0) when `progress` (0..1) of the budget is spent.

    It follows the budget, be that minutes or steps, so the last stage always ends annealed.
    """
    stage, within = config.stage_at(progress)
    falling = (1 + cos(pi * within)) / 2
    rate = stage.final_rate + (stage.peak_rate - stage.final_rate) * falling
    return rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
