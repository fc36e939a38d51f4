"""No model is held twice: what making and loading weights of 200 MB takes, each in its process."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import GlmConfig

from actor_server.model.geometry import PAPER_9B
from actor_server.tensor_files import write_shards
from actor_server.training.initialise import adopted_shapes, geometry_like

pytestmark = pytest.mark.unit
log = logging.getLogger(__name__)

CONFIG = GlmConfig(
    vocab_size=50,
    hidden_size=1024,
    intermediate_size=2048,
    num_hidden_layers=10,
    num_attention_heads=8,
    num_key_value_heads=2,
    head_dim=128,
    rms_norm_eps=PAPER_9B.norm_eps,
    pad_token_id=0,
)
SHARD_BYTES = 16 * 2**20
CHILD = """
import sys
from pathlib import Path
import torch
if sys.argv[1] == "initialise":
    from actor_server.training.initialise import initialise
else:
    from actor_server.weights import load_actor

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def load(**options):
    model, _ = load_actor(Path(sys.argv[2]), dtype=torch.bfloat16, **options)
    return sum(float(tensor.view(torch.uint8).max()) for tensor in model.state_dict().values())

torch.set_num_threads(1)
before = status("VmRSS:")
match sys.argv[1]:
    case "initialise":
        initialise(Path(sys.argv[3]), Path(sys.argv[2]), shard_bytes=int(sys.argv[4]))
    case "bfloat16":
        load()
    case "float8":
        load(float8=True)
print(status("VmHWM:") - before)
"""


def peak_growth(*arguments: object) -> int:
    """Bytes by which a process that does this grows beyond what it imports, at its largest.

    What is freed goes back to the system, as it always does for the large tensors of a large model.
    """
    line = [sys.executable, "-c", CHILD, *map(str, arguments)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    run = subprocess.run(
        line, capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    return int(run.stdout.splitlines()[-1])


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())


def report(actor: Path, grown: int) -> None:
    log.info("files of %d MB: the process grew by %d MB", size(actor) / 1e6, grown / 1e6)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("language") / "glm"
    shapes = adopted_shapes(geometry_like(CONFIG))
    dice = torch.Generator().manual_seed(0)
    tensors = (
        (name, torch.empty(shape, dtype=torch.bfloat16).uniform_(-0.05, 0.05, generator=dice))
        for name, shape in shapes.items()
    )
    write_shards(directory, tensors, {"format": "pt"}, SHARD_BYTES)
    (directory / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    return directory


@pytest.fixture(scope="module")
def making(language: Path) -> tuple[Path, int]:
    actor = language.parent / "actor"
    return actor, peak_growth("initialise", actor, language, SHARD_BYTES)


def test_making_an_actor_takes_a_few_shards(making: tuple[Path, int]) -> None:
    actor, grown = making
    report(actor, grown)
    assert size(actor) > 200e6
    assert grown < 0.7 * size(actor)


def test_loading_takes_what_the_files_take(making: tuple[Path, int]) -> None:
    actor, _ = making
    grown = peak_growth("bfloat16", actor)
    report(actor, grown)
    assert 0.9 * size(actor) < grown < 1.5 * size(actor)


def test_float8_never_holds_the_whole_model_in_two_bytes(making: tuple[Path, int]) -> None:
    actor, _ = making
    grown = peak_growth("float8", actor)
    report(actor, grown)
    assert 0.45 * size(actor) < grown < size(actor)
