"""The whole builder on a recital and a corpus of two clips each."""

from pathlib import Path

import numpy as np
import pytest

from actor_server.codec.mesh.latent import MOUTH, POSE
from actor_server.evaluation.takes import read_takes
from actor_server.training.build import CLIPS_IN_A_SEQUENCE, build, clips_to_take
from actor_server.training.chunk_store import SOURCES, DatasetIndex, Split
from actor_server.training.recital import held_out_texts, read_recital
from actor_server.training.scenes import CHUNKS, Scenes
from actor_server.training.script import perform
from tests.unit.actor_server.training.material import grid_clip, write_grid, write_recital
from tests.unit.actor_server.training.test_script import SIGHT

pytestmark = pytest.mark.unit

HOURS = 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in `out`, and what it was made of."""
    place = tmp_path_factory.mktemp("dataset")
    write_grid(place / "grid")
    write_recital(place / "recited")
    (place / "out").mkdir()
    build(place / "grid", place / "recited", place / "out", HOURS, seed=0)
    return place


def test_every_source_is_there_in_its_split(folder: Path) -> None:
    index = DatasetIndex.read(folder / "out")
    assert all(count > 0 for count in index.chunks["train"].values())
    assert index.chunks["judge"]["grid"] > 0
    assert index.chunks["judge"]["spoken"] == index.chunks["judge"]["mixed"] == 0
    clips = index.recipe["grid_clips"]
    assert sorted(clips["train"] + clips["held_out"] + clips["judge"]) == ["aa1", "bb2"]
    split = Split.open(folder / "out", "train")
    counts = dict.fromkeys(SOURCES, 0)
    for first, chunks, source in split.sequences:
        counts[SOURCES[source]] += int(chunks)
        assert first + chunks <= len(split.fields["kind"])
    assert counts == index.chunks["train"]


def test_recorded_speech_trusts_lips_and_not_the_head(folder: Path) -> None:
    split = Split.open(folder / "out", "judge")
    speaking = split.fields["kind"] == 0
    trusted = split.fields["trusted"]
    assert trusted[speaking][..., MOUTH].mean() > 0.7
    assert trusted[speaking][..., POSE].mean() < 0.2
    assert trusted[~speaking].all()


def test_statistics_are_those_of_what_is_trusted(folder: Path) -> None:
    index = DatasetIndex.read(folder / "out")
    split = Split.open(folder / "out", "train")
    latents = np.array(split.fields["latents"], np.float64)
    mouth = latents[..., MOUTH.start][split.fields["trusted"][..., MOUTH.start]]
    assert index.latent_mean[MOUTH.start] == pytest.approx(mouth.mean(), abs=1e-6)
    assert index.latent_std[MOUTH.start] == pytest.approx(mouth.std(), abs=1e-6)
    assert min(index.latent_std) > 0


def test_the_same_seed_builds_the_same_numbers(folder: Path) -> None:
    again = folder / "again"
    again.mkdir()
    build(folder / "grid", folder / "recited", again, HOURS, seed=0)
    for name in ("latents", "audio", "heard", "text", "phones"):
        one = Split.open(folder / "out", "train").fields[name]
        np.testing.assert_array_equal(one, Split.open(again, "train").fields[name])


def test_no_sentence_is_in_both_splits(folder: Path) -> None:
    recital = read_recital(folder / "recited", seed=0)
    texts = {
        split: {reply.text for group in part.groups for reply in group}
        for split, part in recital.items()
    }
    assert texts["train"] & texts["held_out"] == set()
    assert len(texts["train"] | texts["held_out"]) == 10
    assert len(texts["held_out"]) == 1


def test_more_voices_may_speak_what_is_held_out_and_nothing_else(tmp_path: Path) -> None:
    write_recital(tmp_path)
    (held_out,) = held_out_texts(tmp_path, seed=0)
    write_recital(tmp_path / "held_out", voices=("three", "four"))
    recital = read_recital(tmp_path, seed=0)
    unseen = [reply for group in recital["held_out"].groups for reply in group]
    assert {reply.text for reply in unseen} == {held_out}
    assert len({reply.voice for reply in unseen}) == 2
    voices = {reply.voice for group in recital["train"].groups for reply in group}
    assert voices == {"one", "two"}


def test_the_voice_of_each_sequence_is_kept(folder: Path) -> None:
    split = Split.open(folder / "out", "train")
    named = {SOURCES[source] for source in split.sequences[:, 2][np.array(split.voices) != ""]}
    assert named == {"spoken", "mixed"}
    assert set(split.voices) == {"", "one", "two"}
    takes = read_takes(folder / "out", "train")
    assert [take.voice for take in takes] == list(split.voices)


def test_invented_calls_hold_all_three_kinds_and_take_8_to_20_seconds(folder: Path) -> None:
    recital = read_recital(folder / "recited", seed=0)["train"]
    kinds: set[int] = set()
    for seed in range(6):
        scenes = Scenes(np.random.default_rng(seed), SIGHT, recital)
        for script in (scenes.mixed(), scenes.spoken()):
            assert CHUNKS[0] <= len(script.beats) <= CHUNKS[1]
        kinds |= {row.kind for row in perform(scenes.mixed(), SIGHT, seed).conditions}
    assert kinds == {0, 1, 2}


def test_grid_sequences_begin_each_clip_with_its_own_voice(folder: Path) -> None:
    recital = read_recital(folder / "recited", seed=0)["train"]
    scenes = Scenes(np.random.default_rng(3), SIGHT, recital)
    script = scenes.grid([grid_clip("a"), grid_clip("b"), grid_clip("c")], natural=True)
    sequence = perform(script, SIGHT, seed=1)
    assert [recorded.clip.name for recorded in script.recorded] == ["a", "b", "c"]
    own = np.stack([row.audio for row in sequence.conditions])[:, 4:8]
    loud = own.astype(np.float32).reshape(len(own) * 8, -1).mean(1)
    for recorded in script.recorded:
        voiced = slice(recorded.first_frame + 26, recorded.first_frame + 49)
        assert loud[voiced].min() > 0
        assert loud[recorded.first_frame + 2 : recorded.first_frame + 20].max() < -1


@pytest.mark.parametrize("waiting", range(3, 30))
@pytest.mark.parametrize("wanted", range(*CLIPS_IN_A_SEQUENCE))
def test_no_sequence_is_left_with_a_single_clip(waiting: int, wanted: int) -> None:
    while waiting:
        taken = clips_to_take(wanted, waiting)
        assert CLIPS_IN_A_SEQUENCE[0] <= taken < CLIPS_IN_A_SEQUENCE[1]
        waiting -= taken
