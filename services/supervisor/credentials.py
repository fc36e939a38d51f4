"""Secrets of this machine: made once at random, readable by the owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from services.provenance import ProvenanceKey
from services.settings import GatewayTable, Settings, SettingsError

SECRET_BYTES = 32


@dataclass(frozen=True)
class LiveKitKey:
    """What signs room tokens."""

    api_key: str
    api_secret: str


def livekit_key(settings: Settings) -> LiveKitKey:
    """The configured key, or the one kept in the data directory, made on the first start.

    Raises: SettingsError where LiveKit runs on another machine, which has the key.
    """
    table = settings.livekit
    if table.api_key and table.api_secret:
        return LiveKitKey(table.api_key, table.api_secret)
    if "livekit" not in settings.only:
        raise SettingsError(
            "LiveKit runs on another machine: give its `api_key` and `api_secret` in [livekit] of "
            "xstreamer.toml (there they are in livekit-key.json of the data directory)"
        )
    file = settings.data / "livekit-key.json"
    if file.is_file():
        return LiveKitKey(**json.loads(file.read_text()))
    key = LiveKitKey(f"API{secrets.token_hex(6)}", secrets.token_urlsafe(SECRET_BYTES))
    write_private(file, json.dumps(asdict(key)))
    return key


def page_key(gateway: GatewayTable) -> str:
    """The key in the address that is printed, new at each start and written nowhere. None where
    nobody is asked for one, or where the settings name one: whoever chose it knows it.
    """
    if gateway.admin_key or not gateway.wants_keys:
        return ""
    return f"xs_{secrets.token_urlsafe(SECRET_BYTES)}"


def provenance_key(settings: Settings) -> ProvenanceKey | None:
    """The configured key, or the one kept in the data directory, made on the first start.

    It is made only where both the agent, which signs, and the gateway, which publishes it, run:
    two machines would make two. None: nothing is signed; see `provenance_problem`.
    """
    if settings.agent.provenance_key:
        return ProvenanceKey(settings.agent.provenance_key)
    file = settings.data / "provenance.key"
    if file.is_file():
        return ProvenanceKey(file.read_text().strip())
    if not {"agent", "gateway"} <= {*settings.only}:
        return None
    key = ProvenanceKey.new()
    write_private(file, key.text)
    return key


def provenance_problem(settings: Settings, key: ProvenanceKey | None) -> str:
    """Why an agent here signs nothing or a gateway here publishes nothing, and the way out; empty:
    all is well.
    """
    here = {"agent", "gateway"} & {*settings.only}
    published = settings.gateway.given().get("provenance_public_key")
    if key is not None or not here or ("gateway" in here and published):
        return ""
    return (
        "Streams are not signed as synthetic (xs.provenance): agent and gateway run on different "
        "machines, and this one was told no key. Put `provenance_key` into [agent] where agents "
        "run and `provenance_public_key` into [gateway] where the gateway runs; docs/privacy.md "
        "shows how to make both"
    )


def write_private(file: Path, text: str) -> None:
    """Write a file that only the owner can read, never visible otherwise."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    part.replace(file)
