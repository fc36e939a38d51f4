"""The web page, built by Vite, and /docs; both work without the internet."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from gateway.deps import ServicesDep
from gateway.errors import not_found

router = APIRouter(include_in_schema=False)
FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
BUILD_COMMAND = "make setup"

_NOT_BUILT = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>X-Streamer: page not built</title>
<h1>The web page is not built</h1>
<p>The gateway runs, but its page is missing. Run <code>{BUILD_COMMAND}</code> in the source
folder and reload.</p><p>REST works already: <a href="/openapi.json">/openapi.json</a>.</p></html>
"""
_DOCS = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>X-Streamer REST</title>
<link rel="stylesheet" href="/swagger/swagger-ui.css"><div id="swagger-ui"></div>
<script src="/swagger/swagger-ui-bundle.js"></script><script src="/swagger/init.js"></script></html>
"""


@router.get("/")
@router.get("/dashboard")
@router.get("/call/{room}")
async def page(services: ServicesDep) -> Response:
    """One page for everything; what it shows is read from the address in the browser."""
    index = services.settings.app_dir / "index.html"
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT, 503)
    return FileResponse(index, headers={"Cache-Control": REVALIDATE})


@router.get("/docs")
async def docs(services: ServicesDep) -> Response:
    built = (services.settings.app_dir / "swagger" / "swagger-ui.css").is_file()
    return HTMLResponse(_DOCS) if built else HTMLResponse(_NOT_BUILT, 503)


@router.get("/assets/{path:path}")
async def asset(path: str, services: ServicesDep) -> Response:
    """Names carry a hash of the content, so browsers may keep them for good."""
    return _built_file(services.settings.app_dir, f"assets/{path}", FOREVER)


@router.get("/swagger/{path:path}")
async def swagger(path: str, services: ServicesDep) -> Response:
    return _built_file(services.settings.app_dir, f"swagger/{path}", REVALIDATE)


@router.get("/{name}.{kind}")
async def top_level_file(name: str, kind: str, services: ServicesDep) -> Response:
    """Icons and the manifest."""
    return _built_file(services.settings.app_dir, f"{name}.{kind}", REVALIDATE)


def _built_file(app_dir: Path, path: str, caching: str) -> Response:
    root = app_dir.resolve()
    try:
        file = (root / path).resolve()
        found = file.is_relative_to(root) and file.is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        found = False
    if not found:
        raise not_found("file", path)
    return FileResponse(file, headers={"Cache-Control": caching})
