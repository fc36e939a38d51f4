"""Cached clips come back as they went in, and as a call would have cut them."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actor_server.model.geometry import NANO
from actor_server.motion.conditioning import condition_arrays
from actor_server.motion.source import Condition
from actor_server.speech_queue import TurnSpeech
from actor_server.training.latent_clip import LatentLayout, LatentsUnusable
from actor_server.training.latent_crops import LatentClips
from actor_server.training.latent_store import INDEX_NAME, finish_dataset, write_shard
from proto.messages import HiddenChunk
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import TOKEN_SAMPLES
from tests.unit.actor_server.training.latents import GEOMETRY, WIDTH, clip, write_latents

pytestmark = pytest.mark.unit
LAYOUT = LatentLayout.of(GEOMETRY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_latents(tmp_path_factory.mktemp("latents") / "data")


def test_clips_come_back_from_every_shard(folder: Path) -> None:
    clips = LatentClips(folder, GEOMETRY)
    assert clips.lengths.tolist() == [3, 5, 7, 9, 11, 13]
    for number in range(6):
        written = clip(f"clip{number}", 3 + 2 * number, number)
        crop = clips.crop(number, 1, 100)
        np.testing.assert_array_equal(crop.reference, written.reference.astype(np.float16))
        np.testing.assert_array_equal(crop.latents, written.latents[1:].astype(np.float16))
        np.testing.assert_array_equal(crop.conditions["kind"], written.kinds[1:])


def test_a_chunk_sees_the_states_of_its_own_stretch_of_speech(folder: Path) -> None:
    written = clip("clip5", 13, 5)
    states = written.audio.astype(np.float16)
    conditions = LatentClips(folder, GEOMETRY).crop(5, 2, 10).conditions
    for row, chunk in enumerate(range(2, 12)):
        for slot in range(10):
            token = 4 * chunk - 4 + slot
            stretch = range(16) if chunk < 4 else range(24, 52)
            heard = chunk not in (4, 5) and token in stretch
            assert conditions["audio_seen"][row, slot] == heard
            np.testing.assert_array_equal(
                conditions["audio"][row, slot], states[token] if heard else np.zeros(WIDTH)
            )


def test_a_chunk_reads_the_text_of_the_segments_it_touches(folder: Path) -> None:
    written = clip("clip5", 13, 5)
    states = dict(zip(written.text_slots.tolist(), written.text.astype(np.float16), strict=True))
    conditions = LatentClips(folder, GEOMETRY).crop(5, 2, 10).conditions
    for row, chunk in enumerate(range(2, 12)):
        segments = sorted({(4 * chunk + token) // 26 for token in range(4)})
        for place in range(26):
            slot = segments[0] * 13 + place
            read = chunk not in (4, 5) and slot in states and slot // 13 in segments
            assert conditions["text_seen"][row, place] == read
            at = 6.5 * (slot // 13) + slot % 13 / 2 - chunk if read else 0.0
            assert conditions["text_at"][row, place] == at
            wanted = states[slot] if read else np.zeros(WIDTH)
            np.testing.assert_array_equal(conditions["text"][row, place], wanted)


def test_a_chunk_is_conditioned_as_in_a_call(tmp_path: Path) -> None:
    """A reply arrives segment by segment and is cut by the queue of a call."""
    spoken = replace(clip("reply", 13, 2), kinds=np.zeros(13, np.int64), text_slots=np.arange(22))
    write_shard(tmp_path / "0.safetensors", LAYOUT, [spoken])
    finish_dataset(tmp_path, {})
    stored = LatentClips(tmp_path, GEOMETRY).crop(0, 0, 13).conditions
    sight = GEOMETRY.sight
    speech = TurnSpeech(1, sight.history_tokens, sight.lookahead_tokens)
    for first in range(0, 52, 26):
        text = spoken.text[spoken.text_slots // 13 == first // 26].astype(np.float16)
        speech.extend(
            HiddenChunk(
                session_id="s",
                epoch=1,
                turn=1,
                first_token=first,
                audio_tokens=26,
                features=np.zeros((26, TOKEN_MEL_FRAMES, MEL_BINS), np.float16),
                pcm=np.zeros(26 * TOKEN_SAMPLES, np.int16),
                audio_states=spoken.audio[first : first + 26].astype(np.float16),
                first_text_slot=first // 2,
                text_ids=np.zeros(len(text), np.int32),
                text_states=text,
                final=first == 26,
            )
        )
    for chunk in range(13):
        arrays = condition_arrays(Condition("speaking", 1, speech.cut().window), sight)
        for part in fields(arrays):
            np.testing.assert_array_equal(
                stored[part.name][chunk], getattr(arrays, part.name), part.name
            )


def test_a_clip_may_be_silent_throughout(tmp_path: Path) -> None:
    nothing = {"text": np.zeros((0, WIDTH)), "text_slots": np.zeros(0, np.int64)}
    silent = replace(clip("silent", 7, 3), **nothing, kinds=np.full(7, 2))
    write_shard(tmp_path / "0.safetensors", LAYOUT, [silent])
    finish_dataset(tmp_path, {})
    conditions = LatentClips(tmp_path, GEOMETRY).crop(0, 0, 7).conditions
    assert not conditions["audio_seen"].any()
    assert not conditions["text_seen"].any()
    assert (conditions["kind"] == 2).all()


def test_the_index_knows_what_is_there(folder: Path) -> None:
    index = LatentClips(folder, GEOMETRY).index
    assert (index.clips, index.seconds) == (6, pytest.approx(48 * 0.32))
    assert index.languages == {"en": 3, "zh": 3}
    assert index.kinds == {"speaking": 39, "listening": 9}
    latents = np.concatenate([clip("", 3 + 2 * n, n).latents for n in range(6)])
    np.testing.assert_allclose(index.latent_mean, latents.mean((0, 1)), atol=1e-3)
    np.testing.assert_allclose(index.latent_std, latents.std((0, 1)), atol=1e-3)
    assert index.recipe["codec"] == "tiny"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"audio": np.zeros((11, WIDTH))}, r"audio is \(11, 16\), must be \(12, 16\)"),
        ({"latents": np.zeros((3, 4, 2))}, r"latents is \(3, 4, 2\), must be \(3, 4, 3\)"),
        ({"reference": np.full((4, 3), 1e5)}, "reference holds numbers that half precision"),
        ({"language": "de"}, "language 'de' is none of en, zh"),
        ({"kinds": np.array([0, 3, 0])}, "kinds must be places"),
        ({"text_slots": np.arange(2, 13)}, None),
        ({"text_slots": np.arange(3, 14)}, "text slots must rise from 0 to at most 12"),
        ({"text_slots": np.zeros(11, np.int64)}, "text slots must rise"),
        (
            {
                "latents": np.zeros((0, 4, 3)),
                "kinds": np.zeros(0, np.int64),
                "audio": np.zeros((0, WIDTH)),
            },
            "it has no chunks",
        ),
    ],
)
def test_a_clip_that_breaks_the_layout_is_named(
    tmp_path: Path, change: dict[str, Any], words: str | None
) -> None:
    file = tmp_path / "0.safetensors"
    changed = replace(clip("film", 3, 0), **change)
    if words is None:
        write_shard(file, LAYOUT, [changed])
        return
    with pytest.raises(LatentsUnusable, match=f"clip film: {words}"):
        write_shard(file, LAYOUT, [clip("other", 3, 1), changed])
    assert [*tmp_path.iterdir()] == []


def _cut_short(folder: Path) -> None:
    file = folder / "00001.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def _swap_shards(folder: Path) -> None:
    write_shard(folder / "00000.safetensors", LAYOUT, [clip("another", 4, 9)])


def _edit_index(folder: Path, **change: Any) -> None:
    file = folder / INDEX_NAME
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / INDEX_NAME).unlink(), "no finished dataset"),
        (lambda folder: (folder / INDEX_NAME).write_text("[1]"), "is no index"),
        (lambda folder: _edit_index(folder, version="7"), "xstreamer-latents 7, this program"),
        (lambda folder: (folder / "00001.safetensors").unlink(), "is missing or is not"),
        (_cut_short, r"00001\.safetensors is missing or is not"),
        (_swap_shards, r"00000\.safetensors is missing or is not"),
    ],
)
def test_a_damaged_dataset_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    folder = write_latents(tmp_path / "data")
    damage(folder)
    with pytest.raises(LatentsUnusable, match=words):
        LatentClips(folder, GEOMETRY)


def test_a_shard_cut_short_gets_no_index(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "data")
    _cut_short(folder)
    with pytest.raises(LatentsUnusable, match=r"00001\.safetensors is damaged, write it again"):
        finish_dataset(folder, {})


def test_shards_of_two_sizes_are_no_dataset(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "data")
    wider = replace(GEOMETRY, latent_dim=4)
    write_shard(folder / "2.safetensors", LatentLayout.of(wider), [clip("wide", 3, 1, wider)])
    with pytest.raises(LatentsUnusable, match=r"2\.safetensors is made for .*latent_dim=4"):
        finish_dataset(folder, {})


def test_a_model_of_another_size_is_refused(folder: Path) -> None:
    by_features = replace(NANO.sight, state_width=WIDTH)
    features = replace(GEOMETRY, sight=by_features, project_conditions=True)
    with pytest.raises(LatentsUnusable, match="this model hears features"):
        LatentClips(folder, features)
    with pytest.raises(LatentsUnusable, match=r"the model needs .*latent_dim=5"):
        LatentClips(folder, replace(GEOMETRY, latent_dim=5))
