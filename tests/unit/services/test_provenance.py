"""What a statement of provenance proves, and every way in which it must not."""

import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from services.provenance import (
    LEEWAY,
    TYPE,
    VALID_FOR,
    Provenance,
    ProvenanceKey,
    ProvenanceRefused,
    jwk,
    statement,
    verify,
)

pytestmark = pytest.mark.unit

KEY = ProvenanceKey.new()
JWKS = {"keys": [jwk(KEY.public_text)]}
ROOM, WHO, TRACKS = "call-1", "avatar-1", ("TR_face", "TR_voice")
STATED = statement(ROOM, WHO, "mara", TRACKS)
TOKEN = KEY.sign(STATED)


def check(token: str = TOKEN, **seen: Any) -> Provenance:
    return verify(token, **{"jwks": JWKS, "room": ROOM, "identity": WHO, "tracks": TRACKS, **seen})


def forged(key: ProvenanceKey = KEY, typ: str = TYPE, **claims: Any) -> str:
    """Signed properly, but with other claims or by another key that claims to be ours."""
    headers = {"typ": typ, "kid": jwk(KEY.public_text)["kid"]}
    private = key._key
    return jwt.encode(STATED.model_dump() | claims, private, algorithm="EdDSA", headers=headers)


def test_a_statement_says_who_made_what_for_whom() -> None:
    stated = check()
    assert stated == STATED
    assert stated.synthetic is True
    assert stated.generator.name == "xstreamer"
    assert (stated.room, stated.identity, stated.avatar) == (ROOM, WHO, "mara")
    assert stated.exp - stated.iat == VALID_FOR.total_seconds()


def test_a_caller_who_receives_one_track_only_can_verify_that_one() -> None:
    assert check(tracks=["TR_face"]) == STATED


@pytest.mark.parametrize("part", [0, 1, 2])
def test_tampering_with_any_part_is_refused(part: int) -> None:
    parts = TOKEN.split(".")
    middle = len(parts[part]) // 2
    swapped = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + swapped + parts[part][middle + 1 :]
    with pytest.raises(ProvenanceRefused):
        check(".".join(parts))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"room": "call-2"}, "room call-1, not call-2"),
        ({"identity": "caller-1"}, "avatar-1, not caller-1"),
        ({"tracks": ["TR_face", "TR_other"]}, "TR_other"),
    ],
)
def test_a_statement_copied_to_another_stream_is_refused(seen: Any, reason: str) -> None:
    with pytest.raises(ProvenanceRefused, match=reason):
        check(**seen)


def test_a_key_that_is_not_published_is_refused() -> None:
    other = ProvenanceKey.new()
    for token in (other.sign(STATED), forged(key=other)):
        with pytest.raises(ProvenanceRefused):
            check(token)
    with pytest.raises(ProvenanceRefused):
        check(jwks={"keys": []})


def test_an_unsigned_statement_is_refused() -> None:
    headers = {"typ": TYPE, "kid": jwk(KEY.public_text)["kid"]}
    claims = STATED.model_dump()
    unsigned = jwt.encode(claims, None, algorithm="none", headers=headers)
    # The public key is known to all: as the secret of a symmetric signature it proves nothing.
    symmetric = jwt.encode(claims, KEY.public_text, algorithm="HS256", headers=headers)
    for token in (unsigned, symmetric, "", "a.b.c"):
        with pytest.raises(ProvenanceRefused):
            check(token)


@pytest.mark.parametrize(
    "claims", [{"synthetic": False}, {"tracks": []}, {"room": None}, {"more": 1}]
)
def test_other_claims_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ProvenanceRefused, match="claims"):
        check(forged(**claims))


def test_another_kind_of_token_is_refused() -> None:
    with pytest.raises(ProvenanceRefused, match="no statement"):
        check(forged(typ="JWT"))


def test_an_old_statement_is_refused() -> None:
    now = datetime.now(UTC).timestamp()
    old = forged(exp=int(now - LEEWAY.total_seconds() - 5))
    with pytest.raises(ProvenanceRefused, match="expired"):
        check(old)


def test_padded_keys_are_the_same_keys() -> None:
    assert ProvenanceKey(f"{KEY.text}=").public_text == KEY.public_text
    assert jwk(f"{KEY.public_text}=") == jwk(KEY.public_text)


def test_the_private_key_shows_nowhere() -> None:
    assert KEY.text not in repr(KEY) + str(KEY) + json.dumps(JWKS) + TOKEN
