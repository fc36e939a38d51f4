"""Portraits of a folder answer queries: videos, figures of each, and why some are refused."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from actor_server.codec.mesh.latent import LATENT_DIM
from actor_server.evaluation.actor_system import Actor
from actor_server.evaluation.evaluate import fit_judge
from actor_server.evaluation.portraits import (
    Studio,
    answer,
    mean_of,
    page,
    perform,
    prepared_in,
    report,
)
from actor_server.evaluation.queries import IDLE_CHUNKS, read_scenes, scene
from actor_server.evaluation.takes import Take
from actor_server.model.geometry import TINY
from actor_server.motion.conditioning import KINDS
from actor_server.motion.source import Floats
from actor_server.weights import SamplerDefaults
from proto.message_file import write_messages
from proto.time_law import CHUNK_FRAMES, CHUNK_SAMPLES, CHUNK_US
from tests.unit.actor_server.conditions import parts_of, reply
from tests.unit.actor_server.conftest import default_picture
from tests.unit.actor_server.talks import SIGHT, parted, take
from tests.unit.actor_server.tiny_actor import tiny_actor

pytestmark = pytest.mark.unit

WORDS = "M AA M IY B AA P UW F EH"


def answered(folder: Path, *answers: tuple[str, int]) -> Path:
    """A folder as `thinker_server.answer_queries` leaves it."""
    lines = []
    for query, turn in answers:
        write_messages(folder / f"{query}-{turn}.messages", [reply(WORDS, turn=turn)])
        lines.append({"query": query, "turn": turn, "file": f"{query}-{turn}.messages"})
    lines.append({"query": "mumble", "turn": 1, "file": ""})
    (folder / "index.json").write_text(json.dumps({"voice": "even", "answers": lines}))
    return folder


def actor_of() -> Actor:
    geometry = replace(TINY, latent_dim=LATENT_DIM, grid=(CHUNK_FRAMES, 1, 1), sight=SIGHT)
    return Actor("Actor", tiny_actor(geometry, seed=7), SamplerDefaults(steps=2, window=1))


class CalmActor:
    """Opens and closes the mouth in each chunk; the head stays."""

    def with_seed(self, seed: int) -> "CalmActor":
        return self

    def stream(self, takes: Iterable[Take]) -> Iterator[Floats]:
        for one in takes:
            for _ in one.conditions:
                yield parted(np.array([0, 0.03, 0.06, 0.09, 0.12, 0.08, 0.04, 0.02]))


def test_a_conversation_is_answers_between_idle_chunks_with_the_sound_of_both() -> None:
    whole = reply(WORDS)
    one = scene("talk", [parts_of(whole, [4, 4]), [reply(WORDS, turn=2)]], SIGHT)
    kinds = [KINDS[chunk.kind] for chunk in one.take.conditions]
    spoken = -(-whole.audio_tokens // 4)
    wait = ["idle"] * IDLE_CHUNKS
    assert kinds == [*wait, *["speaking"] * spoken, *wait, *["speaking"] * spoken, *wait]
    assert len(one.pcm) == len(kinds) * CHUNK_SAMPLES
    assert one.take.frames == len(kinds) * CHUNK_FRAMES
    first = one.pcm[IDLE_CHUNKS * CHUNK_SAMPLES :]
    assert whole.pcm is not None
    np.testing.assert_array_equal(first[: len(whole.pcm)], whole.pcm)
    assert not one.pcm[: IDLE_CHUNKS * CHUNK_SAMPLES].any()
    starts = [phone.start_us for phone in one.take.phones if phone.symbol == "F"]
    assert starts == [(IDLE_CHUNKS * (n + 1) + spoken * n) * CHUNK_US + 800_000 for n in (0, 1)]


def test_conversations_without_an_answer_are_left_out(tmp_path: Path) -> None:
    scenes = read_scenes(answered(tmp_path, ("a", 1), ("a", 2), ("b", 1)), SIGHT)
    assert [one.name for one in scenes] == ["a", "b"]
    assert scenes[0].take.frames > 1.5 * scenes[1].take.frames
    with pytest.raises(ValueError, match="no query of"):
        read_scenes(answered(tmp_path), SIGHT)


def test_every_portrait_has_dice_of_its_own(tmp_path: Path) -> None:
    scenes = read_scenes(answered(tmp_path, ("a", 1), ("b", 1)), SIGHT)
    first, again, other = (perform(actor_of(), scenes, number, "x") for number in (0, 0, 1))
    np.testing.assert_array_equal(first.latents[0], again.latents[0])
    moved = [*first.latents, *other.latents]
    assert all(np.abs(a - b).max() > 0.01 for n, a in enumerate(moved) for b in moved[:n])


def test_a_portrait_becomes_a_video_and_two_rows_and_a_blank_picture_is_refused(
    tmp_path: Path, assets_dir: Path
) -> None:
    portraits, out = tmp_path / "portraits", tmp_path / "out"
    portraits.mkdir()
    out.mkdir()
    for name in ("mara", "daniel"):
        (portraits / f"{name}.jpg").write_bytes(default_picture(name))
    cv2.imwrite(str(portraits / "wall.png"), np.full((400, 400, 3), 127, np.uint8))
    prepared, refused = prepared_in(portraits, assets_dir)
    assert list(prepared) == ["daniel", "mara"]
    assert "No face" in refused["wall.png"]
    scenes = read_scenes(answered(tmp_path, ("a", 1)), SIGHT)
    judge = fit_judge([take(seed) for seed in range(10, 14)])
    actor: Any = CalmActor()
    studio = Studio(actor, judge, tuple(scenes), assets_dir, out)
    told, seen, *others = answer(studio, prepared)
    assert [one.system for one in others] == ["mara", "mara"]
    assert (told.system, told.lips) == ("daniel", "latents")
    assert seen.lips == "seen on daniel"
    assert told.articulation is not None
    assert told.articulation.counts["AA"] == 2
    assert seen.articulation is not None
    assert seen.articulation.counts == told.articulation.counts
    assert seen.rendered is not None
    assert seen.rendered.identity is not None
    assert seen.rendered.identity > 0.6 > (seen.rendered.stranger or 0)
    with av.open(str(out / "daniel-a.mp4")) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(pictures) == scenes[0].take.frames
    assert pictures[0].shape == (256, 256, 3)
    with av.open(str(out / "daniel-a.mp4")) as video:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in video.decode(audio=0)])
    assert len(heard) / 24_000 == pytest.approx(scenes[0].take.frames / 25, abs=0.1)
    written = json.loads(json.dumps(report([told, seen], refused, tmp_path), allow_nan=False))
    assert written["mean"]["articulation"]["apertures"] == pytest.approx(
        seen.articulation.apertures, abs=1e-4
    )
    shown = page([told, seen], refused, out)
    assert shown.count("data:image/jpeg") == 1
    assert "wall.png: No face" in shown


def test_one_portrait_alone_has_nobody_to_be_told_from(tmp_path: Path) -> None:
    judge = fit_judge([take(seed) for seed in range(10, 14)])
    studio = Studio(actor_of(), judge, (), tmp_path, tmp_path)
    with pytest.raises(ValueError, match="two portraits are needed"):
        next(answer(studio, {}))


def test_means_leave_out_what_was_not_measured() -> None:
    one = {"sync": {"near": 1.0, "shifts": (2, 4)}, "lips": "x", "closed": None}
    other = {"sync": None, "lips": "y", "closed": 0.5}
    third = {"sync": {"near": 0.5, "shifts": (4, 8)}, "lips": "z", "closed": 1.0}
    assert mean_of([one, other, third]) == {
        "sync": {"near": 0.75, "shifts": [3.0, 6.0]},
        "lips": None,
        "closed": 0.75,
    }
