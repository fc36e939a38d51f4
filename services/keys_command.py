"""`xstreamer keys`: who may use the gateway from other machines, and engines on other hosts.

Works on the gateway's database, so it needs no running gateway, and a running one obeys at once.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from gateway.settings import sqlite_url
from services.settings import Settings, SettingsError

if TYPE_CHECKING:  # the database takes long to import, and `xstreamer up` needs none
    from gateway.keys import Keys

keys_app = typer.Typer(no_args_is_help=True, help="Keys: of the gateway's API, and of engines.")

out = Console()
errors = Console(stderr=True)


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whom or what it is for.")],
    scope: Annotated[list[str], typer.Option(help="avatars, rooms, metrics or admin; repeat it.")],
) -> None:
    """Make a key and show it, this once."""
    from gateway.keys import SCOPES

    scopes = tuple(known for known in SCOPES if known in scope)
    if unknown := sorted({*scope} - {*SCOPES}):
        _fail(f"there is no scope {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    with _keys() as keys:
        key, shown = keys.create(name, scopes)
    out.print(f"{key.id} for {name}: {', '.join(key.scopes)}. It is not shown again:")
    out.print(shown, markup=False, highlight=False, soft_wrap=True)


@keys_app.command("list")
def list_keys() -> None:
    """Show who may do what."""
    with _keys() as keys:
        found = keys.store.all()
    table = Table("id", "name", "scopes", "made")
    for key in found:
        table.add_row(key.id, key.name, ", ".join(key.scopes), f"{key.created_at:%Y-%m-%d %H:%M}")
    out.print(table)


@keys_app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="As `list` shows it.")]) -> None:
    """From now on the key opens nothing, nor do the browsers that came in with it."""
    from gateway.keys import CONFIGURED

    if key_id == CONFIGURED:
        _fail("this key is set by `admin_key` in [gateway]: change or remove it there")
    with _keys() as keys:
        if not keys.store.remove(key_id):
            _fail(f"there is no key {key_id}: `xstreamer keys list`")
    out.print(f"{key_id} opens nothing any more")


@keys_app.command("curve")
def curve() -> None:
    """Make a pair of CURVE keys, for an engine on another host or one of its clients."""
    from proto.wire.curve import new_key_pair

    public, secret = new_key_pair()
    out.print("For one process's table in xstreamer.toml; others may know the public half:")
    for name, value in (("public", public), ("secret", secret)):
        line = f"curve_{name}_key = {json.dumps(value)}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _keys() -> "Iterator[Keys]":
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.keys import Keys
    from gateway.store.database import Database
    from gateway.store.keys import KeyStore

    try:
        settings = Settings.load(os.environ)
        given = settings.gateway.given()
        folder = Path(given.get("data_dir") or settings.data / "gateway")
        folder.mkdir(parents=True, exist_ok=True)
        database = Database(given.get("database_url") or sqlite_url(folder))
        try:
            database.migrate()
            yield Keys(KeyStore(database))
        finally:
            database.close()
    except (SettingsError, SQLAlchemyError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    errors.print(message, markup=False, highlight=False, style="red", soft_wrap=True)
    raise typer.Exit(1)
