"""API keys: made at random, shown once, kept as a hash; and the sessions of browsers."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

from pydantic import SecretStr

from gateway.store.keys import KeyStore
from gateway.store.tables import ApiKey

Scope = Literal["avatars", "rooms", "metrics", "admin"]
"""Make, change and delete avatars; start and end calls; see figures; all of it and keys too."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

KEY_PREFIX: Final = "xs_"
KEY_BYTES: Final = 32
CONFIGURED: Final = "configured"
"""The id of the key that the settings name. It stays when the key changes, and with it what the
key owns; sessions do not."""


def key_hash(key: str) -> str:
    """SHA-256, plain and quick: with 256 random bits there is nothing to guess, so no salt and no
    slow hash would add anything. (The key of the settings has 32 characters at least.)"""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """A key for one to write down."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


@dataclass(frozen=True)
class Keys:
    """Makes and ends keys. Blocking; call it from worker threads."""

    store: KeyStore

    def create(self, name: str, scopes: tuple[Scope, ...]) -> tuple[ApiKey, str]:
        """A new key: its record, and the key itself, which nobody can ever read again."""
        shown = new_key()
        key = _record(f"key-{secrets.token_hex(6)}", name, scopes, shown)
        self.store.add(key)
        return key, shown

    def open_session(self, parent: ApiKey, ttl_s: int) -> tuple[ApiKey, str]:
        """A browser's session: it may do what its key may, until it expires or the key goes."""
        shown = secrets.token_urlsafe(KEY_BYTES)
        session = _record(f"session-{secrets.token_hex(6)}", parent.name, parent.scopes, shown)
        session.parent = parent.id
        session.expires_at = session.created_at + timedelta(seconds=ttl_s)
        self.store.add(session)
        return session, shown

    def configure(self, admin_key: SecretStr | None) -> None:
        """Let in the settings' key, and the one of an earlier start no more."""
        shown = None if admin_key is None else admin_key.get_secret_value()
        known = self.store.get(CONFIGURED)
        if known is not None:
            if shown is not None and known.hash == key_hash(shown):
                return
            self.store.remove(CONFIGURED)
        if shown is not None:
            self.store.add(_record(CONFIGURED, "from the settings", ("admin",), shown))


def _record(key_id: str, name: str, scopes: tuple[Scope, ...] | list[str], shown: str) -> ApiKey:
    return ApiKey(
        id=key_id,
        name=name,
        scopes=list(scopes),
        hash=key_hash(shown),
        parent=None,
        created_at=datetime.now(UTC),
        expires_at=None,
    )
