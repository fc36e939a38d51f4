"""Large public weights: which files a preset needs, and how they get here whole and right.

The first pull asks the hub for sizes and hashes and keeps the answer; later ones go on with the
same commit, without asking, until an update is asked for.
"""

import fnmatch
import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.assets.hub import HubListing, list_repository
from services.assets.manifest import Asset, HuggingFaceSource
from services.assets.packages import Clients
from services.assets.store import AssetStore, Report

WEIGHTS = Path(__file__).with_name("weights.toml")
LISTING_FILE = ".hub.json"
NO_PACKAGES = Clients((), (), {})
"""Weights come from the hub alone."""


class WeightsError(Exception):
    """The weights cannot be had or used; the text says what to do."""


@dataclass(frozen=True)
class Repository:
    """The files of one hub repository that a preset needs, by name or pattern.

    `needs` are those without which nothing works, whatever else the hub lists.
    """

    preset: str
    repo: str
    files: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The directory of its files."""
        return self.repo.rpartition("/")[2]

    def assets(self, listing: HubListing) -> tuple[Asset, ...]:
        """The wanted files of a listing. Raises WeightsError when one is not in it."""
        wanted = [f for f in listing.files if any(fnmatch.fnmatch(f.name, p) for p in self.files)]
        if absent := set(self.needs) - {file.name for file in wanted}:
            raise WeightsError(
                f"{self.repo} at commit {listing.commit[:8]} holds no {', '.join(sorted(absent))}: "
                "it is not the repository that this program knows"
            )
        return tuple(
            Asset(
                name=f"{self.folder}/{file.name}",
                sha256=file.sha256,
                git_blob=file.git_blob,
                size=file.size,
                licence=listing.licence,
                group=self.preset,
                sources=(HuggingFaceSource(self.repo, file.name, listing.commit),),
            )
            for file in wanted
        )


def repositories(preset: str, path: Path = WEIGHTS) -> tuple[Repository, ...]:
    """What a preset needs. Raises WeightsError for a preset that needs no weights."""
    entries = tomllib.loads(path.read_text())["repository"]
    known = tuple(
        Repository(preset, e["repo"], tuple(e["files"]), tuple(e["needs"]))
        for e in entries
        for preset in e["presets"]
    )
    found = tuple(repository for repository in known if repository.preset == preset)
    if not found:
        names = ", ".join(sorted({repository.preset for repository in known}))
        raise WeightsError(f"preset {preset!r} needs no weights; those that do: {names}")
    return found


class WeightStore:
    """The weights below one directory, a folder for each repository."""

    def __init__(self, root: Path, hub: str) -> None:
        self.root = root
        self._hub = hub
        self._store = AssetStore(root)

    def listing(self, repository: Repository) -> HubListing | None:
        """What the hub said when the repository was first pulled; None: it never was."""
        file = self.root / repository.folder / LISTING_FILE
        try:
            return HubListing.from_dict(json.loads(file.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{file} is damaged ({error}): delete it and pull again") from error

    def ask(self, repository: Repository, *, update: bool = False) -> HubListing:
        """The listing that is kept, or the hub's of now. Raises HubError, WeightsError."""
        kept = None if update else self.listing(repository)
        if kept is not None:
            return kept
        asked = list_repository(self._hub, repository.repo)
        repository.assets(asked)  # what is not usable is not kept
        folder = self.root / repository.folder
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{LISTING_FILE}.part"
        part.write_text(json.dumps(asked.to_dict(), indent=1))
        part.replace(folder / LISTING_FILE)
        return asked

    def missing(self, assets: tuple[Asset, ...], *, thorough: bool = False) -> list[Asset]:
        """Files that are absent or not what the hub listed."""
        return self._store.missing(assets, thorough=thorough)

    def fetch(
        self,
        assets: tuple[Asset, ...],
        report: Report,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> list[Asset]:
        """Bring what is missing. Raises AssetError, or WeightsError when it would not fit."""
        wanted = self.missing(assets)
        self.root.mkdir(parents=True, exist_ok=True)
        needed = sum(asset.size - self._store.begun_bytes(asset) for asset in wanted)
        free = free_bytes(self.root)
        if needed > free:
            raise WeightsError(
                f"{needed / 1e9:.1f} GB are still to be fetched and {free / 1e9:.1f} GB are free "
                f"in {self.root}: make room, or name another directory with `cache` in "
                "xstreamer.toml"
            )
        return self._store.fetch(wanted, NO_PACKAGES, report, self._hub)
