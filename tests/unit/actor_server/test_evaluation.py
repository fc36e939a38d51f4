"""The evaluation as a whole, on a dataset of made-up talk."""

import json
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actor_server.codec.mesh.latent import BREATH, LATENT_DIM, MOUTH, YAW
from actor_server.evaluation.actor_system import Actor, actors_in
from actor_server.evaluation.goals import GOALS
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.parts import run
from actor_server.evaluation.report import as_json, tables
from actor_server.evaluation.scoring import Performance, mismatch
from actor_server.evaluation.sheets import chosen_moments, curves
from actor_server.evaluation.systems import Procedural, Recorded, StaticFace, conditions_of
from actor_server.evaluation.takes import Take, joined, read_takes
from actor_server.model.geometry import TINY
from actor_server.model.mask import SightRules
from actor_server.motion.choice import SHIPPED_WEIGHTS
from actor_server.motion.conditioning import condition_arrays
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import CHUNK_LATENTS, Floats
from actor_server.training.chunk_store import DatasetIndex, Sequence, SplitName, SplitWriter
from actor_server.weights import SamplerDefaults, save_actor
from proto.time_law import CHUNK_FRAMES
from tests.unit.actor_server.conditions import idle, listening, play, reply, speaking
from tests.unit.actor_server.talks import SIGHT, take
from tests.unit.actor_server.tiny_actor import tiny_actor

pytestmark = pytest.mark.unit

SEEDS: dict[SplitName, range] = {"train": range(0), "held_out": range(3), "judge": range(10, 16)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for split, seeds in SEEDS.items():
        writer = SplitWriter(folder / split, SIGHT)
        for seed in seeds:
            one = take(seed)
            shape = (-1, *CHUNK_LATENTS)
            writer.append(
                Sequence(
                    one.source,
                    one.latents.reshape(shape),
                    one.trusted.reshape(shape),
                    list(one.conditions),
                )
            )
        writer.close()
    DatasetIndex(SIGHT, [0.0] * LATENT_DIM, [1.0] * LATENT_DIM, {}).write(folder)
    return folder


def test_takes_come_back_as_they_were_written(dataset: Path) -> None:
    (one, *_) = read_takes(dataset, "held_out")
    made = take(0)
    np.testing.assert_array_equal(one.latents, made.latents)
    np.testing.assert_array_equal(one.trusted, made.trusted)
    np.testing.assert_array_equal(one.hops, made.hops)
    assert [phone.symbol for phone in one.phones[:3]] == ["M", "AA", "B"]
    assert one.phones[1].start_us == 160_000


def options(dataset: Path, weights: Path | None) -> Namespace:
    return Namespace(
        data=dataset,
        weights=weights,
        ablations=None,
        steps=None,
        window=None,
        sheets=None,
        seconds=60.0,
        seen_seconds=0.0,
        drift_minutes=0.0,
        fvd_windows=0,
        device="cpu",
        diversity_seeds=2,
        cores=1,
        assets=Path(),
    )


def test_an_actor_that_sees_something_else_than_the_dataset_has_is_refused(dataset: Path) -> None:
    with pytest.raises(ValueError, match=r"Actor sees .* was built for"):
        run(options(dataset, SHIPPED_WEIGHTS))


def test_the_report_is_json_in_which_the_truth_beats_all_that_it_should(dataset: Path) -> None:
    evaluation = run(options(dataset, None))
    written = json.loads(json.dumps(as_json(evaluation), allow_nan=False))
    rows = {row["system"]: row for row in written["rows"]}
    truth = rows["ground truth"]["sync"]
    for weaker in ("ground truth, mismatched audio", "static face"):
        assert rows[weaker]["sync"]["confidence"] < 0.5 * truth["confidence"]
        assert rows[weaker]["sync"]["unshifted"] > 1.2 * truth["unshifted"]
        assert rows[weaker]["sync"]["preferred"] < truth["preferred"] == 1.0
    assert truth["near"] == 1.0
    assert sum(truth["shifts"]) == truth["stretches"] == 6
    assert rows["static face"]["liveliness"]["head_speed"] == 0
    assert rows["ground truth"]["liveliness"]["yaw_sd"] is None
    assert rows["procedural teacher"]["liveliness"]["yaw_sd"] > 0
    assert {goal["verdict"] for goal in written["goals"]} == {"not measured"}  # without an Actor
    assert rows["ground truth"]["apertures_to_truth"]["open_vowels"] == 1.0
    assert rows["static face"]["apertures_to_truth"]["open_vowels"] == 0.0
    assert written["machine"]["cpu"]
    assert len(written["commit"]) >= len("unknown")
    assert [table.row_count for table in tables(evaluation)] == [len(GOALS), 5, 5, 6, 5, 3, 2, 2]
    between = {one["system"]: one for one in written["diversity"]}
    assert between["static face"]["head"] == between["static face"]["gaze"] == 0
    assert between["procedural teacher"]["head"] > 0.5
    assert between["procedural teacher"]["landmarks"] is None


def test_missing_weights_are_told_before_anything_is_done(dataset: Path, tmp_path: Path) -> None:
    chosen = options(dataset, None)
    chosen.fvd_windows, chosen.cores, chosen.assets = 10, 2, tmp_path
    with pytest.raises(FileNotFoundError, match="assets fetch"):
        run(chosen)


def test_processes_of_their_own_measure_the_same(dataset: Path) -> None:
    chosen = options(dataset, None)
    alone = as_json(run(chosen))
    chosen.cores = 2
    assert as_json(run(chosen)) == alone


def test_conditions_survive_the_way_through_the_dataset() -> None:
    spoken = speaking(reply("M AA M IY B AA P UW F EH SIL SIL"), SIGHT)
    whole = [idle(), listening(0.3), *spoken, idle(), *spoken]
    arrays = tuple(condition_arrays(condition, SIGHT) for condition in whole)
    latents = np.zeros((8 * len(whole), LATENT_DIM), np.float32)
    one = Take("mixed", latents, latents > 0, arrays, SIGHT.history_tokens)
    again = conditions_of(one)
    assert [condition.kind for condition in again] == [condition.kind for condition in whole]
    for before, after in zip(arrays, again, strict=True):
        rebuilt = condition_arrays(after, SIGHT)
        for name in ("audio", "audio_seen", "phones", "heard", "heard_seen"):
            np.testing.assert_array_equal(getattr(rebuilt, name), getattr(before, name))
    stream = ProceduralMotion(SIGHT).open(latents[0], seed=0)
    (played,) = Procedural().perform([one])
    np.testing.assert_allclose(played, play(stream, again), atol=1e-6)


def test_mismatched_lips_are_another_takes_and_only_its_trusted_ones() -> None:
    first, second = take(1, chunks=12), take(2, chunks=20)
    broken = second.trusted.copy()
    broken[5] = False
    second = replace(second, trusted=broken)
    tracks = [LipTrack.of_latents(one.latents) for one in (first, second)]
    takes, lips = mismatch([first, second], tracks)
    assert [one.frames for one in takes] == [len(one.gap) for one in lips] == [96, 96]
    np.testing.assert_array_equal(lips[0].points, tracks[1].points[:96])
    np.testing.assert_array_equal(lips[1].points, tracks[0].points)
    assert not takes[0].usable[5]
    assert takes[0].usable.sum() == 95


def test_a_system_that_leaves_frames_out_is_refused() -> None:
    class Short(StaticFace):
        def perform(self, takes: Iterable[Take]) -> list[Floats]:
            return [one.latents[:-1] for one in takes]

    with pytest.raises(ValueError, match="static face made"):
        Performance.of(Short(), [take(1)])


def test_sheets_show_each_sound_once_in_order_and_curves_that_differ() -> None:
    one = take(3)
    moments = chosen_moments(one)
    assert len({symbol for symbol, _ in moments}) == len(moments) == 8
    assert [frame for _, frame in moments] == sorted(frame for _, frame in moments)
    moving, still = (Performance.of(system, [one]) for system in (Recorded(), StaticFace()))
    assert curves([moving, still], 0).shape == curves([moving, moving], 0).shape
    assert (curves([moving, still], 0) != curves([moving, moving], 0)).any()


def test_joined_takes_are_one_behind_the_other() -> None:
    first, second = take(1), take(2)
    both = joined([first, second])
    assert both.frames == first.frames + second.frames
    np.testing.assert_array_equal(both.hops[len(first.hops) :], second.hops)
    assert both.source == "grid"
    assert both.latents[first.frames, MOUTH.start] == second.latents[0, MOUTH.start]
    assert not both.latents[:, [YAW, BREATH]].any()


def actor_of(seed: int = 7) -> Actor:
    geometry = replace(TINY, latent_dim=LATENT_DIM, grid=(CHUNK_FRAMES, 1, 1), sight=SIGHT)
    model = tiny_actor(geometry, seed=seed)
    return Actor("Actor", model, SamplerDefaults(steps=3, window=2))


def test_the_actor_performs_each_take_as_if_it_were_alone() -> None:
    takes = [take(1, chunks=5), take(2, chunks=3), take(3, chunks=4)]
    actor = actor_of()
    together = actor.perform(takes)
    assert [len(latents) for latents in together] == [one.frames for one in takes]
    (alone,) = actor.perform(takes[:1])
    np.testing.assert_allclose(together[0], alone, atol=1e-6)
    assert alone[:, MOUTH].std() > 0.01
    (other,) = actor.perform([replace(takes[0], conditions=take(9, chunks=5).conditions)])
    assert np.abs(other - alone).max() > 1e-3


def test_weights_named_after_an_ablation_are_sampled_as_they_were_trained(tmp_path: Path) -> None:
    for name in ("full", "no_reference", "teacher_forcing+token_causal"):
        actor = actor_of()
        save_actor(tmp_path / f"{name}.safetensors", actor.model.float(), actor.sampler, "test")
    full, bare, causal = actors_in(None, tmp_path, steps=2, window=None)
    assert [one.label for one in (full, bare)] == ["Actor full", "Actor no_reference"]
    assert full.rules == SightRules()
    assert bare.rules == SightRules(use_reference=False)
    assert causal.rules == SightRules(token_causal=True)
    assert (full.about["steps"], full.about["window"]) == (2, 2)
