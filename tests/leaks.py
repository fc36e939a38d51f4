"""What a log tells that nobody may read who reads it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PATTERNS = {
    "a token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"),  # RFC 7519: two JSON objects in base64url
    "an API key": re.compile(r"\bxs_[\w-]{40,}"),
    "a private key": re.compile(r"BEGIN [A-Z ]*PRIVATE KEY"),
}


def leaks(logs: Iterable[Path], secrets: Mapping[str, str]) -> list[str]:
    """`file: what`, for every secret of these, by its name, and for all that looks like one."""
    found = []
    for log in logs:
        text = log.read_text(errors="replace")
        told = [name for name, secret in secrets.items() if secret in text]
        told += [name for name, pattern in PATTERNS.items() if pattern.search(text)]
        found += [f"{log.name}: {name}" for name in told]
    return found
