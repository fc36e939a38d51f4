"""Both stages of the paper at tiny sizes, begun with a language model's layers; one process or two
make the same weights.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import GlmConfig, GlmForCausalLM

from actor_server.model.conditioner import Conditions
from actor_server.sampler import PyramidSampler
from actor_server.tensor_files import TensorFiles
from actor_server.training import paper
from actor_server.training.config import PAPER_STAGES, Budget
from actor_server.training.initialise import initialise
from actor_server.training.latent_crops import LatentClips
from actor_server.weights import SamplerDefaults, load_actor
from tests.unit.actor_server.training.latents import write_latents

pytestmark = pytest.mark.unit
GLM = GlmConfig(
    vocab_size=20,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    pad_token_id=0,
)
SAMPLER = SamplerDefaults(steps=4, window=2)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Actor with a tiny GLM's layers and LTX's tokens, beside clips for it."""
    folder = tmp_path_factory.mktemp("paper")
    torch.manual_seed(0)
    GlmForCausalLM(GLM).save_pretrained(folder / "glm")
    geometry = initialise(folder / "glm", folder / "begun", SAMPLER)
    write_latents(folder / "data", geometry)
    return folder


def line(begun: Path, out: Path, *options: str, begin: str = "begun") -> list[str]:
    folders = ["--data", str(begun / "data"), "--begin", str(begun / begin), "--out", str(out)]
    sizes = ["--batch", "1", "--parts", "2", "--crop-chunks", "6"]
    return [*folders, *sizes, "--device", "cpu", "--precision", "fp32", *options]


def train(begun: Path, out: Path, *options: str, begin: str = "begun") -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["paper", *line(begun, out, *options, begin=begin)])
        return paper.main()


def sampled(weights: Path, data: Path) -> torch.Tensor:
    """Three chunks as a call makes them."""
    model, sampler = load_actor(weights)
    crop = LatentClips(data, model.geometry).crop(3, 0, 3)
    conditions = Conditions.from_numpy({name: part[None] for name, part in crop.conditions.items()})
    sampling = PyramidSampler(model, sampler.steps, sampler.window, rows=1)
    stream = sampling.open(torch.from_numpy(crop.reference), seed=1)
    made: list[torch.Tensor] = []
    offered = 0
    while len(made) < 3:
        if offered < 3 and stream.in_flight < sampler.window:
            stream.offer(conditions[offered])
            offered += 1
        (chunk,) = sampling.run_pass([stream])
        made += [] if chunk is None else [chunk]
    return torch.stack(made)


def test_both_stages_train_and_what_they_write_is_sampled_from(begun: Path, tmp_path: Path) -> None:
    pretrained, finetuned = tmp_path / "pretrained", tmp_path / "finetuned"
    assert train(begun, pretrained, "--stage", "pretrain", "--steps", "2") == 0
    begin = str(pretrained / "actor")
    assert train(begun, finetuned, "--stage", "finetune", "--steps", "1", begin=begin) == 0
    made = [sampled(path, begun / "data") for path in (begun / "begun", pretrained / "actor")]
    made.append(sampled(finetuned / "actor", begun / "data"))
    assert all(chunks.shape == (3, 64, 128) and chunks.isfinite().all() for chunks in made)
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])
    files = TensorFiles(finetuned / "actor")
    types = {tensor.dtype for _, tensor in files.tensors() if tensor.ndim > 1}
    assert types == {torch.bfloat16}
    assert load_actor(finetuned / "actor")[1] == SAMPLER
    recipe = json.loads(files.metadata["recipe"])
    assert (recipe["training"]["stages"][0]["name"], recipe["steps"]) == ("finetune", 1)
    assert recipe["data"] == {"thinker": "tiny", "codec": "tiny"}


def test_two_processes_make_the_weights_that_one_makes(begun: Path, tmp_path: Path) -> None:
    """Sharded by FSDP2 over gloo; one step, stopped, and two more on the checkpoint."""
    one, two = tmp_path / "one", tmp_path / "two"
    options = ("--stage", "pretrain", "--steps")
    assert train(begun, one, *options, "3") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "actor_server.training.paper", *line(begun, two, *options, "3")]
    made = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    losses, own = (
        [json.loads(row)["loss"] for row in (out / "figures.jsonl").read_text().splitlines()]
        for out in (two, one)
    )
    assert losses == pytest.approx(own, rel=1e-5)
    assert losses
    begin, alone, together = (
        dict(TensorFiles(path).tensors())
        for path in (begun / "begun", one / "actor", two / "actor")
    )
    assert alone.keys() == together.keys() == begin.keys()
    for name, weight in alone.items():
        torch.testing.assert_close(together[name], weight, rtol=1e-2, atol=1e-5)
    assert not torch.equal(alone["velocity.weight"], begin["velocity.weight"])


def test_the_papers_numbers() -> None:
    pretrain, finetune = (PAPER_STAGES[f"paper-{name}"] for name in ("pretrain", "finetune"))
    (stage,) = pretrain.config.stages
    assert stage.batch * stage.parts == 2 * 256
    assert stage.crop_chunks == 20 * 25 // 8
    assert pretrain.budget(2_780_920) == Budget(steps=16_295)
    assert finetune.budget(217_074) == Budget(steps=200_000)
    for plan in (pretrain, finetune):
        (stage,) = plan.config.stages
        assert stage.peak_rate == stage.final_rate == 1e-5
        assert stage.noise_steps == 25
        assert plan.config.ema_decay is None
