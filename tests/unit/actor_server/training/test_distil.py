"""Few steps: the history that distillation computes is the sampler's, and the student learns."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actor_server.codec.mesh.latent import MOUTH
from actor_server.model.conditioner import Conditions
from actor_server.model.video_transformer import VideoTransformer
from actor_server.sampler import named_noise
from actor_server.schedule import ddim_step, midpoint_step
from actor_server.training.batches import Batch, BatchSource
from actor_server.training.clear_history import ClearHistory
from actor_server.training.config import Budget
from actor_server.training.distil import (
    DistilConfig,
    Distiller,
    DistilRun,
    distil,
    distillation_target,
)
from actor_server.training.few_steps import (
    WITHOUT_MOUTH,
    Contender,
    few_step_figures,
    perform,
    sample,
    sample_exactly,
)
from actor_server.training.train import new_model
from actor_server.training.trainer import Compute
from actor_server.weights import SamplerDefaults, load_actor, save_actor
from tests.unit.actor_server.training.datasets import GEOMETRY, conditions, write_dataset

pytestmark = pytest.mark.unit

CPU = Compute(torch.device("cpu"))
QUICK = DistilConfig(
    steps=2, substeps=2, crop_chunks=4, batch=4, peak_rate=3e-3, warmup_steps=1, ema_decay=0.9
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


def lively_model() -> VideoTransformer:
    """A model whose every weight matters: none is zero, as some are when training begins."""
    torch.manual_seed(0)
    model = VideoTransformer(GEOMETRY)
    for weight in model.parameters():
        weight.data += 0.2 * torch.randn_like(weight)
    return model


def test_every_noisy_chunk_is_computed_as_if_it_alone_followed_clean_ones() -> None:
    model = lively_model().double().requires_grad_(False)
    given = Conditions.stack([conditions(5)] * 2)
    clean, noisy = torch.randn(2, 2, 5, 8, 31, dtype=torch.float64)
    reference = torch.randn(2, 1, 31, dtype=torch.float64)
    levels = torch.rand(2, 5, dtype=torch.float64)
    velocity = ClearHistory(model, reference, clean, given).velocity(noisy, levels)
    for chunk in range(5):
        one_noisy, one_level = clean.clone(), torch.zeros_like(levels)
        one_noisy[:, chunk], one_level[:, chunk] = noisy[:, chunk], levels[:, chunk]
        expected = model(reference, one_noisy, one_level, given)[:, chunk]
        torch.testing.assert_close(velocity[:, chunk], expected, rtol=0, atol=1e-9)


def test_more_chunks_than_share_a_context_are_refused() -> None:
    given = Conditions.stack([conditions(33)])
    clean = torch.zeros(1, 33, 8, 31)
    with pytest.raises(ValueError, match="share one context"):
        ClearHistory(lively_model(), torch.zeros(1, 1, 31), clean, given)


def test_a_performance_follows_its_own_chunks_alone() -> None:
    model = lively_model().double().requires_grad_(False)
    given = Conditions.stack([conditions(4), conditions(4)])
    reference = torch.randn(2, 1, 31, dtype=torch.float64)
    made = perform(model, reference, given, steps=3, seed=5)
    for chunk in range(4):
        noise = torch.stack([named_noise(5 + row, chunk, (8, 31)) for row in range(2)])
        history = ClearHistory(model, reference, made[:, : chunk + 1], given[: chunk + 1])
        alone = torch.zeros_like(made[:, : chunk + 1])
        alone[:, chunk] = noise
        expected = sample(history, alone, steps=3)[:, chunk]
        torch.testing.assert_close(made[:, chunk], expected, rtol=0, atol=1e-4)


def test_steps_behind_the_students_own_history_need_no_motion_of_the_data(dataset: Path) -> None:
    teacher = lively_model()

    def trained(own_share: float, shift: float) -> list[torch.Tensor]:
        source = BatchSource(dataset, "train", 1)
        source.draw = shifted(source.draw, shift)  # type: ignore[method-assign]
        config = replace(QUICK, own_share=own_share)
        distiller = Distiller(deepcopy(teacher), config, source, CPU)
        distiller.advance(0.0)
        return [weights.detach() for weights in distiller.student.parameters()]

    assert all(map(torch.equal, trained(1.0, 0.0), trained(1.0, 3.0)))
    assert not all(map(torch.equal, trained(0.0, 0.0), trained(0.0, 3.0)))


def test_lips_are_taught_one_large_step_and_all_else_the_curve() -> None:
    model = lively_model().double().requires_grad_(False)
    given = Conditions.stack([conditions(3)] * 2)
    clean, noisy = torch.randn(2, 2, 3, 8, 31, dtype=torch.float64)
    history = ClearHistory(model, torch.randn(2, 1, 31, dtype=torch.float64), clean, given)
    level = torch.full((2, 3, 1, 1), 0.5, dtype=torch.float64)
    target = distillation_target(history, noisy, level, QUICK)
    large = ddim_step(noisy, history.velocity_at(noisy, level), level, level - 0.5)
    curve = midpoint_step(noisy, history.velocity_at, level, level - 0.25)
    curve = midpoint_step(curve, history.velocity_at, level - 0.25, level - 0.5)
    torch.testing.assert_close(target[..., MOUTH], large[..., MOUTH], rtol=0, atol=1e-9)
    torch.testing.assert_close(
        target[..., WITHOUT_MOUTH], curve[..., WITHOUT_MOUTH], rtol=0, atol=1e-9
    )
    assert (large - curve).abs().min() > 0


def shifted(draw: Callable[..., Batch], shift: float) -> Callable[..., Batch]:
    """Batches whose motion is another one."""

    def drawn(*arguments: Any) -> Batch:
        batch = draw(*arguments)
        return replace(batch, latents=batch.latents + shift)

    return drawn


def test_the_student_comes_nearer_to_many_steps_than_its_teacher_with_few(dataset: Path) -> None:
    teacher = lively_model()
    distiller = Distiller(teacher, QUICK, BatchSource(dataset, "train", 1), CPU)
    for step in range(25):
        distiller.advance(step / 25)
    figures = few_step_figures(
        teacher,
        [Contender("teacher", teacher, 2), Contender("student", distiller.student, 2)],
        dataset,
        CPU,
    )
    assert figures["student"].error_without_mouth < 0.8 * figures["teacher"].error_without_mouth


def test_the_students_lips_stay_with_its_teachers_few_steps(dataset: Path) -> None:
    teacher = lively_model()
    distiller = Distiller(teacher, QUICK, BatchSource(dataset, "train", 1), CPU)
    for step in range(25):
        distiller.advance(step / 25)
    given = Conditions.stack([conditions(4)] * 4)
    reference, clean = torch.randn(4, 1, 31), torch.randn(4, 4, 8, 31)
    noise = torch.randn(4, 4, 8, 31)
    with torch.no_grad():
        of_teacher = ClearHistory(teacher, reference, clean, given)
        of_student = ClearHistory(distiller.student, reference, clean, given)
        few, exact = sample(of_teacher, noise, 2), sample_exactly(of_teacher, noise)
        learned = sample(of_student, noise, 2)
    away = [(learned - other)[..., MOUTH].square().mean() for other in (few, exact)]
    assert away[0] < 0.15 * away[1]


def test_the_more_steps_the_teacher_takes_the_nearer_it_comes_to_the_measure(dataset: Path) -> None:
    teacher = lively_model()
    contenders = [Contender(str(steps), teacher, steps) for steps in (3, 12, 96)]
    rows = list(few_step_figures(teacher, contenders, dataset, CPU).values())
    errors = [row.error_without_mouth for row in rows]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.08 * errors[0]  # DDIM is of first order: 32 times as many steps
    assert rows[-1].gap_error < 0.1 * rows[0].gap_error
    assert np.isclose(rows[-1].gap_spread, 1, atol=0.02)


def test_distilled_weights_say_how_few_steps_they_need(dataset: Path, tmp_path: Path) -> None:
    first = tmp_path / "teacher.safetensors"
    save_actor(first, new_model(dataset, GEOMETRY, 1), SamplerDefaults(8, 2), '{"steps": 5}')
    out = tmp_path / "few.safetensors"
    run = DistilRun(first, dataset, out, QUICK, Budget(steps=2), CPU)
    table = distil(run)
    _, sampler = load_actor(run.out)
    assert sampler == SamplerDefaults(2, 1)
    assert set(table) == {"teacher N=2", "teacher N=4", "teacher N=8", "student N=2"}
