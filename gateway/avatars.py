"""From an uploaded picture to an avatar that can be called, and its removal."""

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.consent import UPLOADER_CONFIRMED, consent_missing
from gateway.errors import not_found
from gateway.portrait_check import PortraitChecker, accepted_crop
from gateway.portraits import PortraitFiles
from gateway.schemas import NewAvatar
from gateway.settings import GatewaySettings
from gateway.store.avatars import AvatarStore
from gateway.store.tables import Avatar


@dataclass(frozen=True)
class Avatars:
    """Keeps records and pictures in step: a record exists only while its picture does."""

    settings: GatewaySettings
    store: AvatarStore
    portraits: PortraitFiles
    checker: PortraitChecker

    async def admit(self, image: bytes, wanted: NewAvatar, owner: str | None) -> Avatar:
        """The picture itself is not kept, only the Actor's crop of it: what else a camera or an
        editor wrote into the file (places, names, more pictures) ends here.

        Raises GatewayError 413, 415 or 422 with the Actor's reason, 503 without a verdict."""
        if not wanted.consent:
            raise consent_missing()
        verdict = await self.checker.check(image)
        crop = accepted_crop(verdict)
        now = datetime.now(UTC)
        avatar = Avatar(
            id=f"av-{secrets.token_hex(6)}",
            name=wanted.name,
            persona=wanted.persona,
            voice=wanted.voice or self.settings.default_voice,
            is_default=False,
            checks=dict(verdict.checks),
            owner=owner,
            created_at=now,
            used_at=now,
            consent=UPLOADER_CONFIRMED,
            consented_at=now,
        )
        await asyncio.to_thread(self._save, avatar, crop)
        return avatar

    def _save(self, avatar: Avatar, crop: bytes) -> None:
        self.portraits.save(self.portraits.crop(avatar.id), crop)
        self.store.add(avatar)

    def drop_originals(self) -> None:
        """Earlier versions kept uploaded files, and all that was in them. Blocks."""
        for avatar in self.store.all():
            if not avatar.is_default and self.portraits.crop(avatar.id).exists():
                self.portraits.original(avatar.id).unlink(missing_ok=True)

    async def get(self, avatar_id: str) -> Avatar:
        """Raises GatewayError 404."""
        avatar = await asyncio.to_thread(self.store.get, avatar_id)
        if avatar is None:
            raise not_found("avatar", avatar_id)
        return avatar

    def remove(self, avatar_id: str, closed: Collection[str]) -> list[str] | None:
        """Delete its record, those of its calls, its pictures; the rooms of these calls. Blocks.

        None, and nothing was deleted: a call is live whose room is not among those closed.
        """
        rooms = self.store.remove(avatar_id, closed)
        if rooms is not None:
            self.portraits.remove(avatar_id)
        return rooms

    def remove_strays(self, before: datetime) -> int:
        """Delete older pictures that belong to no record, as a crash leaves them. Blocks."""
        return self.portraits.remove_strays(self.store.ids(), before.timestamp())
