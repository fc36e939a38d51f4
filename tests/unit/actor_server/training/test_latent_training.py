"""The one training loop on cached LTX latents: it learns, repeats itself, and its parts add up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actor_server.model.layers import VideoLayer
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import KINDS
from actor_server.training import trainer as trainer_module
from actor_server.training.config import Ablation, Budget, Hiding, Stage, TrainingConfig
from actor_server.training.forcing import draw_levels
from actor_server.training.latent_batches import LatentSource
from actor_server.training.trainer import Compute, Trainer
from tests.unit.actor_server.tiny_actor import tiny_actor
from tests.unit.actor_server.training.latents import GEOMETRY, clip, write_latents

pytestmark = pytest.mark.unit
STAGE = Stage("pretrain", 1.0, 9, 2, 3e-3, 3e-3, (0.0, 0.6), noise_steps=25)
CONFIG = TrainingConfig((STAGE,), hiding=Hiding(0.0, 0.0, 0.0, 0.0), warmup_steps=1, ema_decay=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_latents(tmp_path_factory.mktemp("latents") / "data")


def new_trainer(
    folder: Path,
    stage: Stage = STAGE,
    model: VideoTransformer | None = None,
    *,
    recompute: bool = False,
) -> Trainer:
    """Of a model all of whose weights matter already, or of this one."""
    model = model or tiny_actor(GEOMETRY, dtype=torch.float32).requires_grad_(True)
    compute = Compute(torch.device("cpu"), recompute=recompute)
    config = replace(CONFIG, stages=(stage,))
    source = LatentSource(folder, GEOMETRY, seed=1)
    return Trainer(model, config, Budget(steps=100), source, compute)


def test_every_clip_comes_once_an_epoch_in_an_order_of_its_own(folder: Path) -> None:
    source = LatentSource(folder, GEOMETRY, seed=1)
    first = {clip(f"clip{n}", 3 + 2 * n, n).reference.astype(np.float16)[0, 0]: n for n in range(6)}

    def drawn(numbers: range) -> list[int]:
        batches = [source.draw(source.dice(n), n, 9, 2) for n in numbers]
        return [first[float(row[0, 0])] for batch in batches for row in batch.reference]

    epochs = [drawn(range(3 * epoch, 3 * epoch + 3)) for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(6))] * 3
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert drawn(range(3, 6)) == epochs[1]


def test_a_shorter_clip_is_prolonged_by_what_does_not_count(folder: Path) -> None:
    source = LatentSource(folder, GEOMETRY, seed=1)
    for number in range(3):
        batch = source.draw(source.dice(number), number, 9, 2)
        counts = batch.trusted[..., 0, 0].sum(1)
        assert counts.max() == batch.latents.shape[1] <= 9
        for latents, count in zip(batch.latents, counts.tolist(), strict=True):
            assert (latents[count:] == latents[count - 1]).all()
            assert not (latents[count - 2] == latents[count - 1]).any()


def test_levels_are_those_of_the_sampler(folder: Path) -> None:
    levels = draw_levels(np.random.default_rng(0), (200, 20), STAGE, Ablation()) * 25
    np.testing.assert_allclose(levels, levels.round(), atol=1e-5)
    assert set(levels.round().astype(int).ravel()) == set(range(26))


def test_the_loop_learns_latents_from_the_states_that_it_hears(folder: Path) -> None:
    torch.manual_seed(0)
    eager = replace(STAGE, batch=4, peak_rate=1e-2, final_rate=1e-2)
    trainer = new_trainer(folder, eager, VideoTransformer(GEOMETRY))
    losses = [float(trainer.advance().loss) for _ in range(60)]
    assert np.mean(losses[-15:]) < 0.75 * np.mean(losses[:5])


def test_each_sequence_has_its_own_reference(folder: Path) -> None:
    trainer = new_trainer(folder)
    seen: list[torch.Tensor] = []
    forward = trainer._forward
    trainer._forward = lambda reference, *rest, **sight: (
        seen.append(reference),
        forward(reference, *rest, **sight),
    )[1]
    trainer.advance()
    (reference,) = seen
    assert reference.shape == (2, GEOMETRY.reference_tokens, GEOMETRY.latent_dim)
    assert not torch.equal(reference[0], reference[1])


def test_a_step_in_parts_is_the_step_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clips, of unequal length and count of clean chunks, in one batch or in four."""
    places = torch.arange(13)
    monkeypatch.setattr(
        trainer_module,
        "draw_levels",
        lambda _, shape, *__: (places % 4 / 4).expand(13, 13)[: shape[0], : shape[1]].numpy(),
    )
    monkeypatch.setattr(trainer_module, "draw_noise", lambda _, like: torch.ones_like(like))
    whole = new_trainer(folder, replace(STAGE, crop_chunks=13, batch=4))
    parted = new_trainer(folder, replace(STAGE, crop_chunks=13, batch=1, parts=4))
    loss, parted_loss = (float(trainer.advance().loss) for trainer in (whole, parted))
    assert loss == pytest.approx(parted_loss, rel=1e-5)
    for one, other in zip(whole.model.parameters(), parted.model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_computing_layers_again_gives_the_same_gradients(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    through = VideoLayer._through
    monkeypatch.setattr(
        VideoLayer, "_through", lambda *given: (computed.append(1), through(*given))[1]
    )
    kept, again = new_trainer(folder), new_trainer(folder, recompute=True)
    for trainer, times in ((kept, 1), (again, 2)):
        computed.clear()
        trainer.advance()
        assert len(computed) == times * 2 * GEOMETRY.layers  # the reference, then the video
    pairs = zip(kept.model.parameters(), again.model.parameters(), strict=True)
    for one, other in pairs:
        assert one.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_idle_and_listening_moments_are_learned_apart(folder: Path) -> None:
    trainer = new_trainer(folder)
    trainer.advance()
    table = trainer.model.conditioner.kinds.weight.grad
    assert table is not None
    learned = table.abs().sum(1) > 0
    assert learned.tolist() == [kind != "idle" for kind in KINDS] + [False]
