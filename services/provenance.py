"""Signed provenance: whoever verifies it knows that a stream is synthetic, and whose it is.

A compact JWS (RFC 7515) with EdDSA over Ed25519 (RFC 8037). Keys travel as text, the base64url of
their 32 bytes: the private one in the agent's configuration, the public one in the gateway's.
"""

import base64
import binascii
import hashlib
import importlib.metadata
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

GENERATOR = "xstreamer"
TYPE = "xs-provenance+jwt"
"""In the header, so that no other token of ours can pass for a statement."""
ALGORITHM = "EdDSA"
VALID_FOR = timedelta(days=1)
"""Longer than any call that the gateway allows unless it is told otherwise (`room_ttl_s`, 4 h)."""
LEEWAY = timedelta(minutes=1)


class ProvenanceRefused(ValueError):
    """The statement does not hold; the text says why."""


class Generator(BaseModel):
    """The program that made the stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str


class Provenance(BaseModel):
    """What is stated. `tracks` are LiveKit's ids of voice and face; times in UNIX seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    synthetic: Literal[True]
    generator: Generator
    room: str
    identity: str
    avatar: str
    tracks: tuple[str, ...] = Field(min_length=1)
    iat: int
    exp: int


@dataclass(frozen=True)
class ProvenanceKey:
    """An installation's signing key. Its text is a secret."""

    text: str

    @classmethod
    def new(cls) -> "ProvenanceKey":
        key = Ed25519PrivateKey.generate()
        return cls(_text(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())))

    @cached_property
    def public_text(self) -> str:
        """What the gateway publishes."""
        return _text(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, stated: Provenance) -> str:
        """The statement as a compact JWS."""
        headers = {"typ": TYPE, "kid": jwk(self.public_text)["kid"]}
        return jwt.encode(stated.model_dump(), self._key, algorithm=ALGORITHM, headers=headers)

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(key_bytes(self.text))

    def __repr__(self) -> str:
        return "ProvenanceKey(...)"


def statement(room: str, identity: str, avatar: str, tracks: Collection[str]) -> Provenance:
    """What this program states of a stream that it begins now."""
    now = datetime.now(UTC)
    return Provenance(
        synthetic=True,
        generator=Generator(name=GENERATOR, version=importlib.metadata.version(GENERATOR)),
        room=room,
        identity=identity,
        avatar=avatar,
        tracks=tuple(tracks),
        iat=int(now.timestamp()),
        exp=int((now + VALID_FOR).timestamp()),
    )


def jwk(public_text: str) -> dict[str, str]:
    """The public key for /.well-known/jwks.json; its id is the thumbprint of RFC 7638."""
    required = {"crv": "Ed25519", "kty": "OKP", "x": public_text.rstrip("=")}
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()
    return {**required, "alg": ALGORITHM, "use": "sig", "kid": _text(digest)}


def verify(
    token: str, jwks: Mapping[str, Any], room: str, identity: str, tracks: Collection[str]
) -> Provenance:
    """Check a statement against what a caller sees: the room, who sends, and which tracks.

    Raises: ProvenanceRefused.
    """
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != TYPE:
            raise ProvenanceRefused(f"this is no statement: its type is {header.get('typ')!r}")
        keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(dict(jwks)).keys}
        if (key := keys.get(header.get("kid"))) is None:
            raise ProvenanceRefused(
                "it was signed with a key that the installation does not publish"
            )
        claims = jwt.decode(token, key.key, [ALGORITHM], leeway=LEEWAY)
        stated = Provenance.model_validate(claims)
    except jwt.PyJWTError as error:
        raise ProvenanceRefused(f"the signature does not hold: {error}") from None
    except ValidationError as error:
        raise ProvenanceRefused(f"the claims are not complete: {error}") from None
    if stated.room != room:
        raise ProvenanceRefused(f"it speaks of room {stated.room}, not {room}")
    if stated.identity != identity:
        raise ProvenanceRefused(f"it speaks of {stated.identity}, not {identity}")
    if unstated := sorted(set(tracks) - set(stated.tracks)):
        raise ProvenanceRefused(f"it does not speak of the tracks {', '.join(unstated)}")
    return stated


def key_bytes(text: str) -> bytes:
    """Raises ValueError unless the text is 32 bytes in base64url."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise ValueError("a provenance key is 32 bytes in base64url")
    return raw


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
