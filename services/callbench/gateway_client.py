"""What a bench asks the gateway, as a developer's program would."""

from typing import Any

import httpx

ANSWER_WITHIN_S = 10.0


def gateway_at(url: str) -> httpx.AsyncClient:
    """A client of the gateway's API. To make one costs 20 ms of CPU: keep it."""
    return httpx.AsyncClient(base_url=url, timeout=ANSWER_WITHIN_S, trust_env=False)


async def traces(gateway: httpx.AsyncClient, room: str, limit: int = 500) -> list[dict[str, Any]]:
    """The traces of a call's last turns, oldest first; none where the gateway keeps none."""
    answer = await gateway.get(f"/api/rooms/{room}/turns", params={"limit": limit})
    return list(reversed(answer.json())) if answer.is_success else []
