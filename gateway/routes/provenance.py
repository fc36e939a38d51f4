"""/.well-known/jwks.json: the key that verifies what agents state of their streams."""

from fastapi import APIRouter

from gateway.deps import ServicesDep
from services.provenance import jwk

router = APIRouter(tags=["provenance"])


@router.get("/.well-known/jwks.json")
async def get_keys(services: ServicesDep) -> dict[str, list[dict[str, str]]]:
    """Public keys (RFC 7517) for the avatars' `xs.provenance`; empty: nothing is signed."""
    public = services.settings.provenance_public_key
    return {"keys": [jwk(public)] if public else []}
