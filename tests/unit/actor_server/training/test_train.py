"""A training run: it learns, it repeats itself, it goes on where it stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from actor_server.errors import WeightsUnusable
from actor_server.evaluation.actor_system import actors_in
from actor_server.model.geometry import NANO
from actor_server.model.mask import SightRules
from actor_server.motion.choice import SHIPPED_WEIGHTS
from actor_server.training.ablations import ABLATIONS, train_ablations
from actor_server.training.batches import BatchSource
from actor_server.training.checkpoint import write_checkpoint
from actor_server.training.config import (
    SMOKE,
    Ablation,
    Budget,
    Hiding,
    TrainingConfig,
)
from actor_server.training.journal import FIGURES_NAME
from actor_server.training.learning_rate import learning_rate
from actor_server.training.train import WEIGHTS_NAME, Run, new_model, train
from actor_server.training.trainer import Compute, Trainer
from actor_server.weights import load_actor, recipe_of
from tests.unit.actor_server.training.datasets import GEOMETRY, write_dataset

pytestmark = pytest.mark.unit

QUICK = replace(
    SMOKE,
    stages=tuple(replace(stage, crop_chunks=4, batch=4) for stage in SMOKE.stages),
    hiding=Hiding(0.0, 0.0, 0.0, 0.0),
    warmup_steps=2,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


def run(dataset: Path, out: Path, steps: int, config: TrainingConfig = QUICK) -> Run:
    return Run(dataset, out, config, Budget(steps=steps), Compute(torch.device("cpu")))


def new_trainer(plan: Run) -> Trainer:
    model = new_model(plan.data, GEOMETRY, plan.config.seed)
    source = BatchSource(plan.data, "train", plan.config.seed)
    return Trainer(model, plan.config, plan.budget, source, plan.compute)


def figures(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / FIGURES_NAME).read_text().splitlines()]


def test_lips_learn_to_follow_held_out_speech(dataset: Path, tmp_path: Path) -> None:
    eager = tuple(replace(stage, peak_rate=2e-2) for stage in QUICK.stages)
    config = replace(QUICK, stages=eager)
    train(run(dataset, tmp_path / "short", 1, config), GEOMETRY)
    train(run(dataset, tmp_path / "long", 120, config), GEOMETRY)
    before, after = (figures(tmp_path / name)[-1] for name in ("short", "long"))
    assert after["held_out/loss/mouth"] < 0.9 * before["held_out/loss/mouth"]
    assert after["held_out/gap_r"] > 0.1


def test_the_same_seed_and_data_give_the_same_weights(dataset: Path, tmp_path: Path) -> None:
    first, second, other = (
        train(run(dataset, tmp_path / name, 4, replace(QUICK, seed=seed)), GEOMETRY)
        for name, seed in (("first", 1), ("second", 1), ("other", 2))
    )
    for name, weight in first.averaged_model.state_dict().items():
        assert torch.equal(weight, second.averaged_model.state_dict()[name])
    assert not torch.equal(first.model.velocity.weight, other.model.velocity.weight)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(dataset: Path, tmp_path: Path) -> None:
    plan = run(dataset, tmp_path, 6)
    whole = train(plan, GEOMETRY)
    stopped = new_trainer(plan)
    for _ in range(3):
        stopped.advance()
    write_checkpoint(tmp_path, stopped.state())
    resumed = train(plan, GEOMETRY)
    assert resumed.step == 6
    for name, weight in whole.averaged_model.state_dict().items():
        assert torch.equal(weight, resumed.averaged_model.state_dict()[name])


def test_a_run_goes_on_from_weights_and_says_which(dataset: Path, tmp_path: Path) -> None:
    train(run(dataset, tmp_path / "first", 3), GEOMETRY)
    weights = tmp_path / "first" / WEIGHTS_NAME
    slow = tuple(replace(stage, peak_rate=1e-9, final_rate=1e-9) for stage in QUICK.stages)
    plan = run(dataset, tmp_path / "more", 1, replace(QUICK, stages=slow))
    more = train(replace(plan, begin=weights), GEOMETRY).model
    begun, _ = load_actor(weights)
    for name, weight in begun.state_dict().items():
        torch.testing.assert_close(more.state_dict()[name], weight, rtol=0, atol=1e-6)
    recipe = recipe_of(tmp_path / "more" / WEIGHTS_NAME)
    assert recipe["begun_with"] == recipe_of(weights)
    assert recipe["begun_with"]["steps"] == 3


def test_weights_that_know_no_cues_go_on_as_they_were_and_learn_them(
    dataset: Path, tmp_path: Path
) -> None:
    train(run(dataset, tmp_path / "first", 2), replace(GEOMETRY, cues=False))
    weights = tmp_path / "first" / WEIGHTS_NAME
    begun, _ = load_actor(weights)
    assert "conditioner.moment_in.2.weight" not in begun.state_dict()
    slow = tuple(replace(stage, peak_rate=1e-9, final_rate=1e-9) for stage in QUICK.stages)
    plan = replace(run(dataset, tmp_path / "more", 1, replace(QUICK, stages=slow)), begin=weights)
    more = train(plan, GEOMETRY).model
    assert more.geometry == replace(begun.geometry, cues=True)
    for name, weight in begun.state_dict().items():
        torch.testing.assert_close(more.state_dict()[name], weight, rtol=0, atol=1e-6)
    learned = more.state_dict()["conditioner.moment_in.2.weight"].abs().max()
    assert 0 < learned < 1e-6
    train(replace(run(dataset, tmp_path / "told", 1), begin=weights), GEOMETRY)
    told = replace(plan, out=tmp_path / "untold", begin=tmp_path / "told" / WEIGHTS_NAME)
    with pytest.raises(RuntimeError, match="moment_in"):
        train(told, replace(GEOMETRY, cues=False))


def test_weights_of_another_visibility_and_files_that_are_none_are_refused(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="was built for"):
        train(replace(run(dataset, tmp_path, 1), begin=SHIPPED_WEIGHTS))
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsUnusable):
        recipe_of(tmp_path / "no.safetensors")


def test_a_checkpoint_of_another_run_is_refused(dataset: Path, tmp_path: Path) -> None:
    train(run(dataset, tmp_path, 1), GEOMETRY)
    with pytest.raises(ValueError, match="another config"):
        train(run(dataset, tmp_path, 2, replace(QUICK, clip_norm=2.0)), GEOMETRY)


def test_a_dataset_of_another_visibility_is_refused(dataset: Path) -> None:
    with pytest.raises(ValueError, match="was built for"):
        new_model(dataset, NANO, seed=1)


def test_what_hardly_moves_is_not_blown_up_to_noise(dataset: Path) -> None:
    model = new_model(dataset, GEOMETRY, seed=1)
    assert model.latent_std.min() > 0
    assert model.latent_std.max() <= 4.0


def test_each_ablation_is_trained_into_weights_that_load(dataset: Path, tmp_path: Path) -> None:
    rows = train_ablations(run(dataset, tmp_path, 2), GEOMETRY)
    assert [weights.stem for weights in rows] == [ablation.name for ablation in ABLATIONS]
    full, *ablated = actors_in(rows[0], rows[1].parent, None, None)
    assert full.rules == SightRules()
    assert {actor.label: actor.rules for actor in ablated} == {
        "Actor no_reference": SightRules(use_reference=False),
        "Actor teacher_forcing": SightRules(),
        "Actor token_causal": SightRules(token_causal=True),
    }


def test_an_ablation_is_named_after_what_it_lacks() -> None:
    assert Ablation().name == "full"
    assert Ablation(no_reference=True, token_causal=True).name == "no_reference+token_causal"


def test_the_rate_rises_falls_and_ends_annealed() -> None:
    steps = 1000
    config = replace(QUICK, warmup_steps=50)
    rates = [learning_rate(config, step, step / steps) for step in range(steps + 1)]
    assert rates[0] < rates[49]
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == config.stages[-1].final_rate


def test_a_run_has_minutes_or_steps_and_stages_that_fill_it() -> None:
    assert Budget(minutes=2.0).progress(step=7, trained_s=60.0) == 0.5
    with pytest.raises(ValueError, match="either minutes or steps"):
        Budget()
    with pytest.raises(ValueError, match="add up"):
        replace(QUICK, stages=QUICK.stages[:1])
