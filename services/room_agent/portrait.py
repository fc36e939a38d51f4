"""The portrait's bytes, from the shared disk or from the gateway."""

import asyncio
from pathlib import Path

import httpx
import numpy as np

from proto.messages import MAX_IMAGE_BYTES
from services.room_agent.job import CallJob

FETCH_TIMEOUT_S = 10.0


class PortraitMissing(Exception):
    """The job's portrait cannot be read; the text says which and why."""


async def load_portrait(job: CallJob) -> np.ndarray:
    """The image file, (N,) uint8. Raises PortraitMissing."""
    if job.portrait_path is not None:
        encoded = await asyncio.to_thread(_read, Path(job.portrait_path))
    else:
        encoded = await _fetch(str(job.portrait_url))
    if not 0 < len(encoded) <= MAX_IMAGE_BYTES:
        raise PortraitMissing(f"the portrait has {len(encoded)} bytes")
    return np.frombuffer(encoded, np.uint8)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PortraitMissing(f"cannot read the portrait {path}: {error.strerror}") from error


async def _fetch(url: str) -> bytes:
    try:
        async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_S) as client:
            response = await client.get(url)
            response.raise_for_status()
            return response.content
    except httpx.HTTPError as error:
        raise PortraitMissing(f"cannot fetch the portrait from {url}: {error}") from error
