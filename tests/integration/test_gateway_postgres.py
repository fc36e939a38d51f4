"""The gateway's store on a real PostgreSQL that this test starts on a free port."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect

import gateway
from gateway.store.avatars import AvatarStore
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.tables import Avatar, Base, Call

pytestmark = pytest.mark.integration

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=-3)))


def _program(name: str) -> str:
    """Debian keeps PostgreSQL's programs off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if found is None:
        pytest.fail(f"{name} is missing: install PostgreSQL (apt-get install -y postgresql)")
    return found


def _plain_user() -> str | None:
    """PostgreSQL refuses to run as root; another user's name, or None when we are none."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    user = _plain_user()
    if user is not None:
        shutil.chown(folder, user)
        for parent in folder.parents[:3]:
            parent.chmod(parent.stat().st_mode | 0o011)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [_program("initdb"), "-D", data, "-U", "xstreamer", "-A", "trust", "--no-sync"],
        user=user,
        cwd=folder,
        check=True,
        capture_output=True,
    )
    options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
    pg_ctl = [_program("pg_ctl"), "-D", str(data), "-w", "-t", "60"]
    log = folder / "log"
    subprocess.run(
        [*pg_ctl, "-o", options, "-l", str(log), "start"], user=user, cwd=folder, check=True
    )
    try:
        yield f"postgresql://xstreamer@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*pg_ctl, "-m", "immediate", "stop"], user=user, cwd=folder, check=True)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    Base.metadata.drop_all(database.engine)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    database.migrate()
    yield database
    database.close()


def an_avatar() -> Avatar:
    return Avatar(
        id="ada",
        name="Ada Lovelace",
        persona="Ωmega",
        voice="hibari",
        is_default=True,
        checks={"yaw": 0.25},
        created_at=NOON,
        used_at=NOON,
    )


def a_call() -> Call:
    return Call(
        room="call-1",
        avatar_id="ada",
        avatar_name="Ada Lovelace",
        job="{}",
        state="created",
        created_at=NOON,
        expires_at=NOON + timedelta(hours=1),
        callers=0,
        dispatches=1,
    )


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_gateways_that_start_together_migrate_one_after_the_other(database: Database, url: str):
    Base.metadata.drop_all(database.engine)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    code = f"from gateway.store.database import Database; Database({url!r}).migrate()"
    starting = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in starting] == [0, 0, 0]
    AvatarStore(database).add(an_avatar())


def test_the_migrations_can_be_undone(database: Database):
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.__file__).parent / "migrations"))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}


def test_an_avatar_comes_back_as_it_was(database: Database):
    AvatarStore(database).put(an_avatar())
    AvatarStore(database).put(an_avatar())
    found = AvatarStore(database).get("ada")
    assert found is not None
    assert (found.persona, found.checks, found.is_default) == ("Ωmega", {"yaw": 0.25}, True)
    assert found.created_at == NOON
    assert found.created_at.utcoffset() == timedelta(0)


def test_a_call_lives_and_goes_with_its_avatar(database: Database):
    AvatarStore(database).add(an_avatar())
    calls = CallStore(database)
    calls.add(a_call())
    calls.caller_joined("call-1")
    assert calls.agent_joined("call-1") is not None
    assert [call.state for call in calls.live()] == ["active"]
    assert calls.end("call-1", "left")
    found = calls.get("call-1")
    assert found is not None
    assert (found.avatar_id, found.end_reason, found.callers) == ("ada", "left", 1)
    assert found.ended_at is not None
    assert found.ended_at <= datetime.now(UTC)
    assert calls.live() == []
    assert AvatarStore(database).unused_since(datetime.now(UTC)) == []
    assert AvatarStore(database).remove("ada", closed=["call-1"]) == ["call-1"]
    assert calls.get("call-1") is None
    assert not calls.add(a_call())


def test_a_database_that_was_restarted_is_connected_to_again(database: Database):
    AvatarStore(database).add(an_avatar())
    with database.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
    assert AvatarStore(database).get("ada") is not None
    database.ping()
