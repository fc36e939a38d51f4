"""Requests that were signed with our LiveKit key: LiveKit's webhooks and our agents' reports."""

import base64
import hashlib
import hmac
import logging

from jwt import InvalidTokenError
from livekit import api

from gateway.errors import GatewayError

logger = logging.getLogger(__name__)


def check_signature(verifier: api.TokenVerifier, body: bytes, signature: str) -> None:
    """Raises GatewayError 401 unless this body was signed with our key.

    The same steps as livekit-api's WebhookReceiver, whose refusals are bare Exceptions.
    """
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    try:
        claims = verifier.verify(signature)
        if not hmac.compare_digest(str(claims.sha256).encode(), digest.encode()):
            raise ValueError("the body is not the one that was signed")
    # The last three: claims of a wrong type, which livekit-api reads as they come.
    except (InvalidTokenError, ValueError, TypeError, AttributeError, KeyError) as error:
        logger.warning("refused a signed request", extra={"reason": str(error)})
        raise GatewayError(
            401, "bad_signature", "The request is not signed with our LiveKit key"
        ) from None
