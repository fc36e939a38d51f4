"""Asks the Actor whether a picture may become an avatar; only the Actor loads a landmarker."""

import asyncio
from typing import Protocol
from uuid import uuid4

import numpy as np

from gateway.errors import GatewayError, unavailable
from gateway.metrics import PORTRAIT_SECONDS, PORTRAITS
from proto.messages import CheckPortrait, Failure, PortraitChecked
from proto.wire.curve import CurveClient
from proto.wire.sockets import PeerBusy, request

MAX_CONCURRENT_CHECKS = 4

_STATUS = {"not_an_image": 415, "too_large": 413}
_ADVICE = {
    "not_an_image": ("This is not a picture", "Send a JPEG, PNG or WebP file."),
    "too_large": ("The picture is too large", "Send a smaller picture."),
    "no_face": ("The picture shows no face", "Use a picture that shows one face from the front."),
    "many_faces": ("The picture shows more than one face", "Crop the picture to one person."),
    "too_small": ("The face is too small", "Crop closer, or use a larger picture."),
    "too_turned": ("The face is turned away", "Use a picture that looks towards the camera."),
    "blurred": ("The picture is blurred", "Use a sharper picture."),
    "not_a_person": ("This does not look like a person", "Use a picture of a human face."),
    "mouth_hidden": ("Something covers the mouth", "Use a picture that shows the whole mouth."),
}


class PortraitChecker(Protocol):
    """The verdict on an image file."""

    async def check(self, image: bytes) -> PortraitChecked:
        """Raises GatewayError 503 when there is no verdict in time."""
        ...


class ActorPortraitChecker:
    """CheckPortrait over ZeroMQ, a few at a time."""

    def __init__(self, endpoint: str, timeout_s: float, curve: CurveClient | None = None) -> None:
        self._endpoint = endpoint
        self._curve = curve
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)

    async def check(self, image: bytes) -> PortraitChecked:
        message = CheckPortrait(
            session_id=f"portrait-{uuid4().hex}", image=np.frombuffer(image, np.uint8)
        )
        with PORTRAIT_SECONDS.time():
            try:
                async with asyncio.timeout(self._timeout_s), self._free:
                    answer = await request(self._endpoint, message, self._timeout_s, self._curve)
            except (TimeoutError, PeerBusy):
                raise _no_verdict("The Actor does not answer") from None
        if isinstance(answer, PortraitChecked):
            PORTRAITS.labels(answer.code).inc()
            return answer
        reason = answer.message if isinstance(answer, Failure) else type(answer).__name__
        raise _no_verdict(f"The Actor could not check the picture: {reason}")


def accepted_crop(verdict: PortraitChecked) -> bytes:
    """The crop of an accepted portrait. Raises GatewayError 413, 415 or 422 for a refused one."""
    if verdict.code == "ok":
        if verdict.crop is None:
            raise _no_verdict("The Actor accepted the picture but sent no crop")
        return verdict.crop.tobytes()
    title, advice = _ADVICE[verdict.code]
    status = _STATUS.get(verdict.code, 422)
    raise GatewayError(
        status, verdict.code, title, verdict.hint or advice, checks=dict(verdict.checks)
    )


def too_large(limit_bytes: int) -> GatewayError:
    """413 for an upload past the limit."""
    hint = f"Send a picture of at most {limit_bytes / 1024 / 1024:.3g} MB."
    return GatewayError(413, "too_large", _ADVICE["too_large"][0], hint)


def _no_verdict(title: str) -> GatewayError:
    return unavailable(
        "actor_unavailable", title, "Wait until /readyz says that the Actor is ready; try again."
    )
