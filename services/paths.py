"""Where things lie on this machine. Standard library only: the bootstrap runs before any package.

One rule for the environment: XSTREAMER_<KEY> overrides `<key>` of xstreamer.toml, and
XSTREAMER_<TABLE>_<KEY> overrides `<key>` of its table.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG_VARIABLE = "XSTREAMER_CONFIG"
DEFAULT_CACHE = "~/.cache/xstreamer"


@dataclass(frozen=True)
class CachePaths:
    """The directories below one cache directory."""

    root: Path

    @property
    def assets(self) -> Path:
        """Model files, verified against the manifest."""
        return self.root / "assets"

    @property
    def programs(self) -> Path:
        """Programs built or unpacked here, keyed by version."""
        return self.root / "bin"

    @property
    def tools(self) -> Path:
        """Compilers taken from wheels because the machine has none."""
        return self.root / "tools"


def config_file(environ: Mapping[str, str]) -> Path:
    """xstreamer.toml: the file that XSTREAMER_CONFIG names, or the one beside the code."""
    chosen = environ.get(CONFIG_VARIABLE)
    return Path(chosen).expanduser().resolve() if chosen else REPOSITORY / "xstreamer.toml"


def cache_paths(environ: Mapping[str, str]) -> CachePaths:
    """The cache directory by environment, configuration file or default."""
    chosen = environ.get("XSTREAMER_CACHE")
    file = config_file(environ)
    if not chosen and file.is_file():
        chosen = tomllib.loads(file.read_text()).get("cache")
    return CachePaths(resolve(chosen or DEFAULT_CACHE, file.parent))


def resolve(path: str | Path, base: Path) -> Path:
    """An absolute path; relative ones start at `base`."""
    expanded = Path(path).expanduser()
    return expanded if expanded.is_absolute() else (base / expanded).resolve()
