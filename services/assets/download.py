"""Plain downloads: resumed where they stopped, refused early when the size is wrong."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

REACH_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 30.0
BLOCK_BYTES = 1 << 18
AGENT = {"User-Agent": "xstreamer"}

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


class SourceError(Exception):
    """This source did not give the file; the next one may."""


class Reachability:
    """Asks each host once whether it answers, so that an offline machine waits seconds."""

    def __init__(self, timeout_s: float = REACH_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._known: dict[str, bool] = {}

    def require(self, url: str) -> None:
        """Raises SourceError when the URL's host does not answer."""
        host = urlsplit(url).netloc
        if host not in self._known:
            self._known[host] = self._answers(f"{urlsplit(url).scheme}://{host}/")
        if not self._known[host]:
            raise SourceError(f"{host} cannot be reached from here")

    def _answers(self, url: str) -> bool:
        request = urllib.request.Request(url, method="HEAD", headers=AGENT)
        try:
            urllib.request.urlopen(request, timeout=self._timeout_s).close()
        except urllib.error.HTTPError as error:
            # Storage hosts refuse their root page; a proxy that forbids the host says so by 403
            # on every path, which the download itself will find out.
            return error.code < http.client.INTERNAL_SERVER_ERROR
        except (OSError, http.client.HTTPException):
            return False
        return True


def download(url: str, target: Path, size: int, progress: Progress) -> None:
    """Fetch `size` bytes into `target`, going on where an earlier attempt stopped.

    Raises: SourceError when the host fails or the file has another size.
    """
    have = target.stat().st_size if target.exists() else 0
    if have == size:
        return  # an earlier attempt was stopped while it looked at the content
    if have > size:
        target.unlink()
        have = 0
    headers = AGENT | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=READ_TIMEOUT_S
        ) as response:
            if response.status != http.client.PARTIAL_CONTENT:
                have = 0
            announced = response.headers.get("Content-Length")
            if announced is not None and have + int(announced) != size:
                raise SourceError(f"{url} has {have + int(announced)} bytes, not {size}")
            _copy(response, target, have, size, progress)
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{url}: {error}") from error


def _copy(
    response: http.client.HTTPResponse, target: Path, have: int, size: int, progress: Progress
) -> None:
    with target.open("ab" if have else "wb") as out:
        while block := response.read(BLOCK_BYTES):
            out.write(block)
            have += len(block)
            if have > size:
                break
            progress(have, size)
    if have != size:
        raise SourceError(f"the download ended after {have} of {size} bytes")
