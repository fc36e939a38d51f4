"""Room tokens: each opens one room for one identity until the room expires."""

import secrets
from datetime import UTC, datetime, timedelta

from livekit import api

CALLER_NAME = "Caller"
ROOM_PREFIX = "call-"


def new_room_name() -> str:
    """An unguessable room name; it is also the id of the call in every process."""
    return f"{ROOM_PREFIX}{secrets.token_hex(16)}"


def caller_token(
    credentials: tuple[str, str], room: str, expires_at: datetime, config: api.RoomConfiguration
) -> str:
    """A caller's token. `config` makes the room again should it be gone by then.

    `credentials` are LiveKit's (key, secret).
    """
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_publish_sources=["microphone", "camera"],
        can_update_own_metadata=False,
    )
    lifetime = max(expires_at - datetime.now(UTC), timedelta(seconds=1))
    return (
        api.AccessToken(*credentials)
        .with_identity(f"caller-{secrets.token_hex(3)}")
        .with_name(CALLER_NAME)
        .with_ttl(lifetime)
        .with_grants(grants)
        .with_room_config(config)
        .to_jwt()
    )
