"""Faces of LTX latents: from a portrait to a call's chunks, with tiny random models."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actor_server.codec.ltx.codec import LtxCodec
from actor_server.codec.ltx.tiny import TINY, random_autoencoder
from actor_server.errors import PortraitRefused, WeightsUnusable
from actor_server.ltx_studio import FULL_CHANGE, LtxStudio, motion_level
from actor_server.mesh_studio import MeshStudio
from actor_server.model.geometry import PAPER_9B
from actor_server.motion.choice import diffusion_from
from actor_server.motion.held import HeldMotion
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import CHUNK_LATENTS
from actor_server.portrait.intake import PortraitIntake
from actor_server.saving import Saving
from actor_server.session import ActorSession, Pacing
from actor_server.tiny import SAMPLER, random_actor
from actor_server.weights import save_actor
from proto.messages import AVChunk, Grant, Interrupt
from tests.unit.actor_server.conditions import LONG, reply, speaking
from tests.unit.actor_server.test_speech_queue import with_states

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]
MARA = (REPOSITORY / "gateway" / "data" / "portraits" / "mara.jpg").read_bytes()
WIDTH = 16
SMALL = replace(
    PAPER_9B,
    layers=2,
    width=WIDTH,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn_width=24,
    rotary_pairs=(1, 1, 0),
    sight=replace(PAPER_9B.sight, state_width=WIDTH),
)


@pytest.fixture(scope="module")
def studio(assets_dir: Path) -> LtxStudio:
    return LtxStudio(PortraitIntake.from_assets(assets_dir), LtxCodec(random_autoencoder(TINY)))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("actor") / "actor.safetensors"
    save_actor(path, random_actor(SMALL), SAMPLER, "random")
    return path


def chunks_of(session: ActorSession, count: int, epoch: int = 0) -> list[AVChunk]:
    session.deliver(Grant(session_id="s", credit=count, epoch=epoch), 0)
    made = []
    while session.credit:
        if (chunk := session.step(0)) is not None:
            made.append(chunk)
    return made


def test_a_portrait_becomes_the_codecs_reference_and_a_picture_without_a_face_does_not(
    studio: LtxStudio,
) -> None:
    face = studio.build(MARA)
    assert face.reference.shape == studio.chunk_shape == (64, 128)
    assert face.reference.dtype == np.float32
    assert studio.check(MARA).code == "ok"
    with pytest.raises(PortraitRefused):
        studio.build(b"not a picture")


def test_what_is_thought_moves_the_face_and_an_interrupt_takes_it_back(
    studio: LtxStudio, weights: Path
) -> None:
    motion = diffusion_from(weights, studio.chunk_shape, max_sessions=3)
    face = studio.build(MARA)

    def session() -> ActorSession:
        return ActorSession("s", face, motion, 1, Pacing(0, 0))

    quiet, speaking, other = session(), session(), session()
    speaking.deliver(with_states(reply("AA " * 12), WIDTH), 0)
    other.deliver(with_states(reply("IY " * 12), WIDTH), 0)
    calm, spoken = chunks_of(quiet, 4), chunks_of(speaking, 4)
    assert [chunk.frames.shape for chunk in spoken] == [(8, 384, 256)] * 4
    assert spoken[0].audio_tokens == 4
    # Other phones with the same states make the same pictures: it is thought that moves this face.
    for mine, same in zip(spoken, chunks_of(other, 4), strict=True):
        assert np.array_equal(mine.frames, same.frames)
    assert not np.array_equal(calm[0].frames, spoken[0].frames)
    assert all(0 < chunk.motion_level <= 1 for chunk in spoken)
    stop = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
    speaking.deliver(stop, 0)
    for first, again in zip(calm, chunks_of(speaking, 4, epoch=2), strict=True):
        assert np.array_equal(first.frames, again.frames)
    for one in (quiet, speaking, other):
        one.close()


def test_an_overloaded_call_stands_still_and_goes_on_where_it_stood(
    studio: LtxStudio, weights: Path
) -> None:
    moving = diffusion_from(weights, studio.chunk_shape, max_sessions=2)
    motion, face = HeldMotion(moving), studio.build(MARA)
    held, straight = (ActorSession("s", face, motion, 1, Pacing(0, 0)) for _ in range(2))
    expected = chunks_of(straight, 4)
    before = chunks_of(held, 2)
    held.ease(Saving.STILL)
    still = chunks_of(held, 3)
    assert all((chunk.frames == before[-1].frames[-1]).all() for chunk in still)
    assert {chunk.motion_level for chunk in still} == {0}
    stop = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=3)
    held.deliver(stop, 0)
    held.ease(Saving.NOTHING)
    after = chunks_of(held, 2, epoch=2)
    assert [chunk.chunk for chunk in after] == [4, 5]
    for mine, theirs in zip(before + after, expected, strict=True):
        rounding = np.abs(mine.frames.astype(int) - theirs.frames)
        assert rounding.max() <= 4
    for one in (held, straight):
        one.close()


def test_only_a_decoder_that_draws_at_once_can_stand_still(studio: LtxStudio) -> None:
    assert studio.savings == (Saving.STILL,)
    released = LtxCodec(random_autoencoder(TINY | {"decoder_causal": False}))
    assert LtxStudio(studio._intake, released).savings == ()


def test_a_transformer_of_another_codec_is_refused(weights: Path) -> None:
    with pytest.raises(WeightsUnusable, match=r"chunks of \(64, 128\).*takes \(8, 31\)"):
        diffusion_from(weights, CHUNK_LATENTS, max_sessions=1)


def test_motion_is_what_changes_from_frame_to_frame() -> None:
    still = np.full((8, 384, 256), 90, np.uint8)
    assert motion_level(still) == 0
    moving = still.copy()
    moving[1::2, :256] += 1
    assert motion_level(moving) == pytest.approx(1 / FULL_CHANGE)
    moving[1::2, :256] += 50
    assert motion_level(moving) == 1
    colours = still.copy()
    colours[1::2, 256:] += 50
    assert motion_level(colours) == 0


def test_pictures_of_a_talking_mesh_have_the_level_of_its_latents(assets_dir: Path) -> None:
    with closing(MeshStudio(assets_dir)) as meshes:
        face = meshes.build(MARA)
    motion, painter = ProceduralMotion().open(face.reference, 1), face.painter()
    levels = []
    for condition in speaking(reply(LONG)):
        motion.offer(condition)
        latents = motion.next_chunk()
        assert latents is not None
        drawn = painter.draw(latents)
        assert drawn is not None
        levels.append((drawn.motion_level, motion_level(drawn.frames)))
    of_latents, of_pictures = np.mean(levels, axis=0)
    assert of_pictures == pytest.approx(of_latents, rel=0.5)


def test_the_studio_warms_up_with_nobodys_face(studio: LtxStudio) -> None:
    with torch.random.fork_rng():
        studio.warm_up()
