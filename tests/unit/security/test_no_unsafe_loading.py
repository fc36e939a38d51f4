"""Nothing that comes from outside can become code: every source file of the product is read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.paths import REPOSITORY

pytestmark = pytest.mark.unit

PACKAGES = ("proto", "thinker_server", "actor_server", "gateway", "services")
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
ALLOWED = {
    # Catches what torch.load(weights_only=True) raises for a file that tries to be more.
    ("actor_server/speech/checkpoint.py", "imports pickle"),
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
            case ast.Call():
                yield from _unsafe_call(node)


def _root(module: str) -> bool:
    return module.split(".")[0] in FORBIDDEN_MODULES


def _unsafe_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in FORBIDDEN_CALLS:
        yield f"calls {name}"
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "calls torch.load without weights_only=True"
    if given.get("allow_pickle", "False") != "False":
        yield f"calls {name} with allow_pickle"
    if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
        yield f"calls {name}"
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
        "np.load(file, allow_pickle=True)",
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
