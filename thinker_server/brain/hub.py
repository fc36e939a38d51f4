"""Is Hugging Face there? Asked once per process, answered within seconds."""

from functools import cache

import httpx
from huggingface_hub import constants

ENDPOINT = "https://huggingface.co"
TIMEOUT_S = 2.5


@cache
def hub_reachable(endpoint: str = ENDPOINT) -> bool:
    """Whether the hub answers a small request within TIMEOUT_S; no when it is set offline."""
    if constants.HF_HUB_OFFLINE:
        return False
    limits = httpx.Timeout(TIMEOUT_S, connect=TIMEOUT_S / 2)
    try:
        answer = httpx.head(f"{endpoint}/api/models/gpt2", timeout=limits, follow_redirects=True)
    except httpx.HTTPError:
        return False
    return answer.status_code < 400


def stay_offline() -> None:
    """Ask the hub nothing more in this process: what is loaded is loaded."""
    constants.HF_HUB_OFFLINE = True
