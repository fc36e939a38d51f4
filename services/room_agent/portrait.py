"""The portrait's bytes, from the shared disk or from the gateway, which gives each agent only the
portrait of its own call.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
from livekit import api

from proto.messages import MAX_IMAGE_BYTES
from services.room_agent.config import AgentConfig
from services.room_agent.job import CallJob

FETCH_TIMEOUT_S = 10.0
PASSING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
TOKEN_LIFE = timedelta(minutes=1)


class PortraitMissing(Exception):
    """There is no such portrait; the text says which and why."""


class PortraitAway(Exception):
    """The gateway does not give the portrait now; it may in a moment."""


async def load_portrait(config: AgentConfig, job: CallJob) -> np.ndarray:
    """The image file, (N,) uint8. Raises PortraitMissing, PortraitAway."""
    if job.portrait_path is not None:
        encoded = await asyncio.to_thread(_read, Path(job.portrait_path))
    else:
        encoded = await _fetch(str(job.portrait_url), room_token(config, job.call_id))
    if not 0 < len(encoded) <= MAX_IMAGE_BYTES:
        raise PortraitMissing(f"the portrait has {len(encoded)} bytes")
    return np.frombuffer(encoded, np.uint8)


def room_token(config: AgentConfig, room: str) -> str:
    """Shows the gateway that we are in this call."""
    secret = config.livekit_api_secret.get_secret_value()
    token = api.AccessToken(config.livekit_api_key, secret).with_identity("agent")
    grants = api.VideoGrants(room_join=True, room=room)
    return token.with_ttl(TOKEN_LIFE).with_grants(grants).to_jwt()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PortraitMissing(f"cannot read the portrait {path}: {error.strerror}") from error


async def _fetch(url: str, token: str) -> bytes:
    try:
        async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_S) as client:
            response = await client.get(url, headers={"Authorization": f"Bearer {token}"})
            response.raise_for_status()
            return response.content
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        passing = status >= httpx.codes.INTERNAL_SERVER_ERROR or status in PASSING
        kind = PortraitAway if passing else PortraitMissing
        raise kind(f"cannot fetch the portrait from {url}: {error}") from error
    except httpx.HTTPError as error:
        raise PortraitAway(f"cannot fetch the portrait from {url}: {error!r}") from error
