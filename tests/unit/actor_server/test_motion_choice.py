"""Which motion source a process takes."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.config import MotionKind
from actor_server.errors import WeightsUnusable
from actor_server.evaluation.actor_system import Actor
from actor_server.motion import choice
from actor_server.motion.choice import choose_motion
from actor_server.motion.conditioning import ConditionReader
from actor_server.motion.source import Condition
from actor_server.weights import SamplerDefaults, load_actor, save_actor
from tests.unit.actor_server.small_actor import SMALL, small_model

pytestmark = pytest.mark.unit


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the shipped weights are looked for; nothing is there yet."""
    path = tmp_path / "nano_actor.safetensors"
    monkeypatch.setattr(choice, "SHIPPED_WEIGHTS", path)
    return path


def save(path: Path) -> Path:
    save_actor(path, small_model(), SamplerDefaults(steps=2, window=1), "random")
    return path


def test_without_shipped_weights_the_rules_move_the_face_and_the_log_says_why(
    shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose_motion("auto", None, 1).label == "procedural"
    (record,) = caplog.records
    assert "no weights" in record.message
    assert record.__dict__["missing"] == str(shipped)


@pytest.mark.parametrize("kind", ["auto", "diffusion"])
def test_shipped_weights_are_used(shipped: Path, kind: MotionKind) -> None:
    save(shipped)
    motion = choose_motion(kind, None, 1)
    assert motion.label == "diffusion"
    assert motion.sight == SMALL.sight


def test_the_teacher_is_taken_when_asked_for(shipped: Path) -> None:
    save(shipped)
    motion = choose_motion("teacher", None, 1)
    assert motion.label == "procedural"
    assert motion.sight.lookahead_tokens == 0


def test_bad_shipped_weights_do_not_keep_calls_from_being_made(
    shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shipped.write_bytes(b"no weights")
    assert choose_motion("auto", None, 1).label == "procedural"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_weights_that_were_asked_for_must_be_good(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable):
        choose_motion("diffusion", None, 1)
    with pytest.raises(WeightsUnusable):
        choose_motion("auto", tmp_path / "gone", 1)
    own = save(tmp_path / "own")
    assert choose_motion("auto", own, 1).label == "diffusion"


def test_a_call_moves_as_the_evaluated_actor_does(shipped: Path) -> None:
    """Same sampler, same noise, same limits."""
    save(shipped)
    reader, conditions, made = ConditionReader(SMALL.sight), [], []
    stream = choose_motion("auto", None, 1).open(portrait_latent(), seed=5)
    for _ in range(3):
        condition = Condition("idle", epoch=0)
        conditions.append(reader.read(condition))
        stream.offer(condition)
        while (chunk := stream.next_chunk()) is None:
            pass
        made.append(chunk)
    take: Any = SimpleNamespace(conditions=conditions)
    actor = Actor("Actor", *load_actor(shipped), seed=5)
    np.testing.assert_allclose(np.stack(made), np.stack(list(actor.stream([take]))), atol=1e-5)
