"""`python -m services.audit`: are there known vulnerabilities in the packages of the lock files?

OSV (osv.dev) knows those of PyPI and npm; names and versions are all that it is told. Where it
cannot be reached nothing was checked, which is said and is no failure.
"""

import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from services.paths import REPOSITORY

OSV: Final = "https://api.osv.dev/v1/querybatch"
BATCH: Final = 500
TIMEOUT_S: Final = 20.0
ACCEPTED: Final[dict[str, str]] = {}
"""Ids that do not touch us -> why. Each is one line of reason, and goes with the next upgrade."""


@dataclass(frozen=True, order=True)
class Package:
    """One locked package."""

    ecosystem: str
    name: str
    version: str

    def query(self) -> dict[str, Any]:
        """As OSV is asked."""
        package = {"ecosystem": self.ecosystem, "name": self.name}
        return {"package": package, "version": self.version}


def locked(repository: Path) -> list[Package]:
    """Every package of uv.lock and package-lock.json that comes from a registry."""
    python = tomllib.loads((repository / "uv.lock").read_text())["package"]
    web = json.loads((repository / "gateway" / "web" / "package-lock.json").read_text())["packages"]
    found = {Package("PyPI", p["name"], p["version"]) for p in python if "registry" in p["source"]}
    for path, entry in web.items():
        if path and not entry.get("link"):
            name = entry.get("name") or path.rpartition("node_modules/")[2]
            found.add(Package("npm", name, entry["version"]))
    return sorted(found)


def vulnerabilities(packages: list[Package], osv: str = OSV) -> Iterator[tuple[Package, str]]:
    """Each package with the id of what is known of it. Raises httpx.HTTPError."""
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for first in range(0, len(packages), BATCH):
            some = packages[first : first + BATCH]
            answer = client.post(osv, json={"queries": [package.query() for package in some]})
            results = answer.raise_for_status().json()["results"]
            for package, result in zip(some, results, strict=True):
                yield from ((package, known["id"]) for known in result.get("vulns", []))


def audit(repository: Path = REPOSITORY, osv: str = OSV) -> int:
    """The exit status: 1 when something is known and not accepted."""
    packages = locked(repository)
    try:
        found = [*vulnerabilities(packages, osv)]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        _say(f"NOT CHECKED for known vulnerabilities: {osv} does not answer ({error!r})")
        return 0
    bad = [(package, known) for package, known in found if known not in ACCEPTED]
    for package, known in bad:
        _say(f"{package.ecosystem} {package.name} {package.version}: https://osv.dev/{known}")
    if bad:
        _say("Upgrade these, or say in services/audit.py why they do not touch us.")
        return 1
    _say(f"{len(packages)} packages, no known vulnerabilities ({len(found)} accepted)")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"audit: {text}\n")


if __name__ == "__main__":
    sys.exit(audit())
