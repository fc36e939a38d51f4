"""Both stages of the paper at tiny sizes, begun with a language model's layers; one process or two
make the same weights.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict_loader import load
from transformers import GlmConfig, GlmForCausalLM

from actor_server.model.conditioner import Conditions
from actor_server.sampler import PyramidSampler
from actor_server.tensor_files import TensorFiles
from actor_server.training import paper
from actor_server.training.config import PAPER_STAGES, Budget
from actor_server.training.initialise import initialise
from actor_server.training.latent_crops import LatentClips
from actor_server.weights import SamplerDefaults, load_actor, save_actor
from tests.unit.actor_server.tiny_actor import tiny_actor
from tests.unit.actor_server.training.latents import GEOMETRY, write_latents

pytestmark = [
    pytest.mark.unit,
    pytest.mark.filterwarnings("ignore:torch.distributed is disabled"),  # as `state_of` reads
]
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


@pytest.fixture(autouse=True)
def few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Checkpoints log four lines a tensor: nobody would find the failure among them."""
    caplog.set_level(logging.INFO, "c10d-NullHandler-dcp_logger")


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
    bf16 = ("--stage", "finetune", "--steps", "1", "--precision", "bf16")
    assert train(begun, finetuned, *bf16, begin=begin) == 0
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


@pytest.fixture(scope="module")
def random_begin(begun: Path) -> Path:
    """Weights all of which matter from the first step on, beside clips for them."""
    folder = begun.parent / "random"
    folder.mkdir()
    save_actor(folder / "begun", tiny_actor(GEOMETRY, dtype=torch.float32), SAMPLER, "random")
    write_latents(folder / "data")
    return folder


def train_in_two(begun: Path, out: Path, *options: str) -> None:
    """Two processes, started by torchrun, which finds a free port itself."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    processes = ["--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    module = ["-m", "actor_server.training.paper", *line(begun, out, *options)]
    done = subprocess.run(
        [*torchrun, *processes, *module],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def state_of(out: Path, step: int) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint holds, whole: weights and moments, single precision."""
    reader = HuggingFaceStorageReader(str(out / f"checkpoint-{step:08}"))
    tables = reader.read_metadata().state_dict_metadata
    tensors = {name: torch.zeros(table.size) for name, table in tables.items()}
    load(tensors, storage_reader=reader, no_dist=True)
    return tensors


def first_loss(out: Path) -> float:
    """The first step's; whether a later one is told depends on how long the step took."""
    row = json.loads((out / "figures.jsonl").read_text().splitlines()[0])
    assert row["step"] == 1
    return float(row["loss"])


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """But for the last bits, which depend on the order of sums."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-6, msg=name)


def test_two_processes_train_as_one_does(random_begin: Path, tmp_path: Path) -> None:
    """Sharded by FSDP2 over gloo, on the same two batches a step; then one goes on alone."""
    one, two = tmp_path / "one", tmp_path / "two"
    pretrain = ("--stage", "pretrain", "--steps")
    assert train(random_begin, one, *pretrain, "2") == 0
    train_in_two(random_begin, two, *pretrain, "2")
    assert first_loss(two) == pytest.approx(first_loss(one), rel=1e-5)
    assert len(list((two / "checkpoint-00000002").glob("*.safetensors"))) == 2
    assert_same(state_of(two, 2), state_of(one, 2))
    begun = dict(TensorFiles(random_begin / "begun").tensors())["velocity.weight"].float()
    moved = (state_of(one, 2)["model.velocity.weight"] - begun).abs().max()
    assert 1e-5 < moved < 3e-5  # two steps at 1e-5
    for out in (one, two):
        shutil.rmtree(out / "actor")
        assert train(random_begin, out, *pretrain, "3") == 0
    assert_same(state_of(two, 3), state_of(one, 3))


def test_a_stage_that_was_stopped_ends_as_one_that_was_not(
    random_begin: Path, tmp_path: Path
) -> None:
    pretrain = ("--stage", "pretrain", "--steps")
    assert train(random_begin, tmp_path / "whole", *pretrain, "3") == 0
    assert train(random_begin, tmp_path / "stopped", *pretrain, "1") == 0
    shutil.rmtree(tmp_path / "stopped" / "actor")
    assert train(random_begin, tmp_path / "stopped", *pretrain, "3") == 0
    whole, stopped = (state_of(tmp_path / name, 3) for name in ("whole", "stopped"))
    assert all(tensor.equal(stopped[name]) for name, tensor in whole.items())


def test_what_does_not_fit_is_said(
    begun: Path, random_begin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = ("--stage", "pretrain", "--steps", "1")
    assert train(begun, tmp_path / "out", *step, begin=str(random_begin / "begun")) == 2
    assert "cache the clips again" in capsys.readouterr().err
    assert train(begun, tmp_path / "out", *step, begin="nowhere") == 2
    assert "there are no weights" in capsys.readouterr().err
    assert train(random_begin, tmp_path / "out", *step) == 0
    assert train(random_begin, tmp_path / "out", *step) == 2
    assert "is there already" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out" / "actor")
    assert train(random_begin, tmp_path / "out", "--stage", "finetune", "--steps", "2") == 2
    assert "made with another config" in capsys.readouterr().err


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
