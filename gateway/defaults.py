"""The avatars that come with the program: seeded at start, cropped once the Actor answers."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, TypeAdapter

from gateway.avatars import Avatars
from gateway.consent import NOBODY_DEPICTED
from gateway.errors import GatewayError
from gateway.portrait_check import accepted_crop
from gateway.store.tables import Avatar

logger = logging.getLogger(__name__)
RETRY_S = 2.0
SHIPPED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Not a real moment: one second apart, counted back, it keeps the shipped order when sorted."""


class DefaultAvatar(BaseModel):
    """One entry of data/portraits/avatars.json."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    persona: str
    jpg: str
    voice: str


def default_avatars() -> list[DefaultAvatar]:
    text = (files("gateway") / "data" / "portraits" / "avatars.json").read_text("utf-8")
    return TypeAdapter(list[DefaultAvatar]).validate_python(json.loads(text))


def seed(avatars: Avatars) -> None:
    """Write records and original pictures; a picture that changed loses its old crop. Blocks."""
    portraits = avatars.portraits
    for index, default in enumerate(default_avatars()):
        image = (files("gateway") / "data" / "portraits" / default.jpg).read_bytes()
        original = portraits.original(default.id)
        if not original.exists() or original.read_bytes() != image:
            portraits.remove(default.id)
            portraits.save(original, image)
        avatars.store.put(
            Avatar(
                id=default.id,
                name=default.name,
                persona=default.persona,
                voice=default.voice,
                is_default=True,
                checks={},
                owner=None,
                created_at=SHIPPED_AT - timedelta(seconds=index),
                used_at=SHIPPED_AT,
                consent=NOBODY_DEPICTED,
                consented_at=None,
            )
        )


async def crop_defaults(avatars: Avatars) -> None:
    """Ask the Actor for each crop that is missing, as often as it takes; then return."""
    for default in default_avatars():
        target, original = (
            avatars.portraits.crop(default.id),
            avatars.portraits.original(default.id),
        )
        if target.exists():
            continue
        if not original.exists():
            logger.error("default portrait missing", extra={"avatar": default.id})
            continue
        image = original.read_bytes()
        crop = await _crop_when_ready(avatars, image, default.id)
        if crop is not None:
            await asyncio.to_thread(avatars.portraits.save, target, crop)


async def _crop_when_ready(avatars: Avatars, image: bytes, avatar_id: str) -> bytes | None:
    while True:
        try:
            return accepted_crop(await avatars.checker.check(image))
        except GatewayError as error:
            if error.problem.status != 503:
                logger.error(
                    "default portrait refused",
                    extra={"avatar": avatar_id, "code": error.problem.code},
                )
                return None
        await asyncio.sleep(RETRY_S)
