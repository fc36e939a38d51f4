"""What a Hugging Face repository holds: its files with the hub's own sizes and hashes."""

import json
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any, Self

from services.assets.download import AGENT, READ_TIMEOUT_S


class HubError(Exception):
    """The hub did not say what a repository holds; the text says what to do."""


@dataclass(frozen=True)
class HubFile:
    """One file. Large ones have a `sha256`, small ones the `git_blob` id of their content."""

    name: str
    size: int
    sha256: str
    git_blob: str


@dataclass(frozen=True)
class HubListing:
    """A repository at one commit. `licence` is what its card says."""

    repo: str
    commit: str
    licence: str
    files: tuple[HubFile, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises KeyError or TypeError."""
        files = tuple(HubFile(**file) for file in kept["files"])
        return cls(kept["repo"], kept["commit"], kept["licence"], files)


def list_repository(hub: str, repo: str) -> HubListing:
    """Ask for the present state of a repository. Raises HubError."""
    url = f"{hub.rstrip('/')}/api/models/{repo}?blobs=true"
    try:
        request = urllib.request.Request(url, headers=AGENT)
        with urllib.request.urlopen(request, timeout=READ_TIMEOUT_S) as response:
            answer = json.load(response)
        return _listing(repo, answer)
    except urllib.error.HTTPError as error:
        raise HubError(
            f"{url} answered {error.code} {error.reason}: is the hub the right one?"
        ) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise HubError(
            f"{url} cannot be reached ({reason}): set HF_ENDPOINT to a mirror, or copy the "
            "repository's files from another machine"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise HubError(f"{url} did not answer as the hub does ({error!r})") from error


def _listing(repo: str, answer: dict[str, Any]) -> HubListing:
    card = answer.get("cardData") or {}
    named = [card.get(key) for key in ("license", "license_name", "license_link")]
    licence = ", ".join(str(word) for word in named if word) or "not named on the repository's card"
    files = tuple(_file(sibling) for sibling in answer["siblings"])
    return HubListing(repo, str(answer["sha"]), licence, files)


def _file(sibling: dict[str, Any]) -> HubFile:
    lfs = sibling.get("lfs") or {}
    sha256, git_blob = str(lfs.get("sha256", "")), str(sibling.get("blobId", ""))
    return HubFile(sibling["rfilename"], int(sibling["size"]), sha256, "" if sha256 else git_blob)
