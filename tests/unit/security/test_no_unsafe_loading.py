"""Nothing that comes from outside can become code: every source file of the product is read, and
whatever loads a file of torch's is given one that would run code.
"""

import ast
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from actor_server.errors import SpeechWeightsUnusable
from actor_server.speech.checkpoint import FLOW_FILE, VOCODER_FILE, load_speech_models
from actor_server.training.checkpoint import CHECKPOINT_NAME, read_checkpoint
from services.paths import REPOSITORY

pytestmark = pytest.mark.unit

PACKAGES = ("proto", "thinker_server", "actor_server", "gateway", "services", "reporting")
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
    "multiprocessing",
    "ray",
}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
FORBIDDEN_METHODS = {"recv_pyobj", "send_pyobj", "read_pickle", "to_pickle"}
"""Of whatever has them: ZeroMQ's sockets, pandas."""
BY_FULL_NAME = FORBIDDEN_CALLS | {"torch.load"}
"""What the rules below know by its module's name, and so may be imported by no other."""
ALLOWED = {
    # Catches what torch.load(weights_only=True) raises for a file that tries to be more.
    ("actor_server/speech/checkpoint.py", "imports pickle"),
    # What security.md names: between a process and those that it starts itself, and Ray's cluster.
    ("actor_server/evaluation/parts.py", "imports multiprocessing"),
    ("services/room_agent/job_server.py", "imports multiprocessing"),
    ("actor_server/training/curation/on_ray.py", "imports ray"),
    ("actor_server/training/curation/on_ray.py", "imports ray.exceptions"),
    ("actor_server/training/curation/on_ray.py", "imports ray.data"),
}
PICKLE_EXCEPTIONS_ONLY = {"actor_server/speech/checkpoint.py"}


def sources() -> list[Path]:
    found = [file for package in PACKAGES for file in (REPOSITORY / package).rglob("*.py")]
    return [file for file in found if "node_modules" not in file.parts]


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What a module does that could run what it was given."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (f"imports {n.name}" for n in names if _root(n.name))
            case ast.ImportFrom(module=str(module)) if _root(module):
                yield f"imports {module}"
            case ast.ImportFrom(module=str(module), names=names):
                full = (f"{module}.{n.name}" for n in names)
                yield from (f"imports {name}" for name in full if name in BY_FULL_NAME)
            case ast.Call():
                yield from _unsafe_call(node)


def _root(module: str) -> bool:
    return module.split(".")[0] in FORBIDDEN_MODULES


def _unsafe_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in FORBIDDEN_CALLS or name.split(".")[-1] in FORBIDDEN_METHODS:
        yield f"calls {name}"
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "calls torch.load without weights_only=True"
    if given.get("allow_pickle", "False") != "False":
        yield f"calls {name} with allow_pickle"
    if name in ("np.load", "numpy.load") and len(call.args) > 2:
        yield f"calls {name} with what may be allow_pickle"
    if given.get("shell", "False") != "False":
        yield f"calls {name} with a shell"
    if given.get("trust_remote_code", "False") != "False":
        yield f"calls {name} with trust_remote_code"


def test_every_source_file_is_free_of_unsafe_loading() -> None:
    files = sources()
    assert len(files) > 250
    found = {
        (str(file.relative_to(REPOSITORY)), what)
        for file in files
        for what in unsafe(ast.parse(file.read_text()))
    }
    assert found == ALLOWED


@pytest.mark.parametrize("file", sorted(PICKLE_EXCEPTIONS_ONLY))
def test_where_pickle_is_imported_only_its_exceptions_are_used(file: str) -> None:
    used = {
        ast.unparse(node)
        for node in ast.walk(ast.parse((REPOSITORY / file).read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"
    }
    assert used == {"pickle.UnpicklingError"}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "from torch import load",
        "from torch.jit import load",
        "torch.jit.load(file)",
        "socket.recv_pyobj()",
        "await socket.recv_pyobj()",
        "pandas.read_pickle(file)",
        "import shelve",
        "import marshal",
        "from multiprocessing import Pipe",
        "import ray.data",
        "np.load(file, allow_pickle=True)",
        "np.load(file, None, True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run(line, shell=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "eval(text)",
        "exec(text)",
        "os.system(line)",
    ],
)
def test_what_is_unsafe_is_seen(source: str) -> None:
    assert [*unsafe(ast.parse(source))]


class Attack:
    """Unpickled, it makes a directory."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def speech(folder: Path, write: Callable[[Path], None]) -> None:
    """The speech decoder's weights, which come from the hub."""
    write(folder / FLOW_FILE)
    write(folder / VOCODER_FILE)
    with pytest.raises(SpeechWeightsUnusable, match=FLOW_FILE):
        load_speech_models(folder)


def training(folder: Path, write: Callable[[Path], None]) -> None:
    """A training run's own state."""
    write(folder / CHECKPOINT_NAME)
    with pytest.raises(pickle.UnpicklingError):
        read_checkpoint(folder)


LOADERS = {
    "actor_server/speech/checkpoint.py": speech,
    "actor_server/training/checkpoint.py": training,
}


def test_every_file_that_loads_torchs_format_is_tried() -> None:
    loading = {
        str(file.relative_to(REPOSITORY)) for file in sources() if "torch.load(" in file.read_text()
    }
    assert loading == LOADERS.keys()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS.keys())
def test_a_file_that_would_run_code_is_refused_and_runs_none(
    loader: Callable[[Path, Callable[[Path], None]], None], zipped: bool, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"

    def write(file: Path) -> None:
        state: dict[str, Any] = {"weight": torch.zeros(1), "more": Attack(mark)}
        torch.save(state, file, _use_new_zipfile_serialization=zipped)

    write(tmp_path / "proof.pt")
    torch.load(tmp_path / "proof.pt", weights_only=False)
    assert mark.is_dir(), "the file would run code, if it were let"
    mark.rmdir()
    loader(tmp_path, write)
    assert not mark.exists()
