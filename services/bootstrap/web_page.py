"""The browser page: TypeScript built by Vite into the gateway's static files."""

from pathlib import Path

from services.bootstrap import node
from services.bootstrap.shell import StepError, Watch
from services.bootstrap.workshop import Workshop, fingerprint

STEP = "web page"
STAMP = "sources.sha256"
NOT_SOURCES = {"node_modules", "dist", ".vite"}


def sources(repository: Path) -> Path:
    """The npm package of the page."""
    return repository / "gateway" / "web"


def built(repository: Path) -> Path:
    """Where Vite writes the page and the gateway serves it from."""
    return repository / "gateway" / "static" / "app"


def is_current(repository: Path) -> bool:
    """Was the page built from exactly these sources?"""
    stamp = built(repository) / STAMP
    return stamp.is_file() and stamp.read_text() == _sources_hash(sources(repository))


def install(workshop: Workshop, watch: Watch) -> str:
    """`npm ci` and `npm run build`, skipped while no source has changed."""
    web = sources(workshop.repository)
    if not (web / "package-lock.json").is_file():
        raise StepError(f"{web} holds no package-lock.json: the checkout is incomplete")
    if is_current(workshop.repository):
        return "up to date"
    wanted = _sources_hash(web)
    install_modules(workshop, watch)
    tool = node.find_or_unpack(workshop, STEP, watch)
    workshop.shell.run(STEP, [*tool.npm, "run", "build"], watch, cwd=web, env=tool.env)
    if not (built(workshop.repository) / "index.html").is_file():
        raise StepError(f"the build left no index.html in {built(workshop.repository)}")
    (built(workshop.repository) / STAMP).write_text(wanted)
    return "built"


def install_modules(workshop: Workshop, watch: Watch) -> None:
    """The page's packages exactly as package-lock.json says."""
    web = sources(workshop.repository)
    stamp = web / "node_modules" / ".package-lock.sha256"
    wanted = fingerprint([web / "package-lock.json", web / "package.json"], web)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    tool = node.find_or_unpack(workshop, STEP, watch)
    workshop.shell.run(STEP, [*tool.npm, "ci"], watch, cwd=web, env=tool.env)
    stamp.write_text(wanted)


def _sources_hash(web: Path) -> str:
    files = (
        file
        for file in web.rglob("*")
        if file.is_file() and NOT_SOURCES.isdisjoint(file.relative_to(web).parts)
    )
    return fingerprint(files, web)
