"""Migrations and records on a real SQLite file."""

import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gateway.store.avatars import AvatarStore
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.tables import Avatar, Base, Call

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/test.sqlite3")
    database.migrate()
    return database


def an_avatar(avatar_id: str = "ada") -> Avatar:
    return Avatar(
        id=avatar_id,
        name="Ada",
        persona="",
        voice="hibari",
        is_default=False,
        checks={},
        created_at=NOON,
        used_at=NOON,
    )


def a_call(room: str, avatar_id: str | None = None, created_at: datetime = NOON) -> Call:
    return Call(
        room=room,
        avatar_id=avatar_id,
        avatar_name="Ada",
        job="{}",
        state="created",
        created_at=created_at,
        expires_at=created_at + timedelta(hours=1),
        callers=0,
        dispatches=1,
    )


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing(database: Database):
    AvatarStore(database).add(an_avatar())
    database.migrate()
    assert AvatarStore(database).get("ada") is not None


def test_avatars_from_before_consent_was_asked_are_kept_with_their_calls(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/old.sqlite3")
    database.migrate("0002")
    noon = {"noon": NOON.replace(tzinfo=None)}
    with database.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO avatars VALUES ('ada', 'Ada', '', 'hibari', 0, '{}', :noon)"), noon
        )
        connection.execute(
            text(
                "INSERT INTO calls (room, avatar_id, avatar_name, job, state, created_at, "
                "expires_at, callers, dispatches) "
                "VALUES ('call-1', 'ada', 'Ada', '{}', 'ended', :noon, :noon, 0, 1)"
            ),
            noon,
        )
    database.migrate()
    avatar, call = AvatarStore(database).get("ada"), CallStore(database).get("call-1")
    assert avatar is not None
    assert (avatar.consent, avatar.consented_at) == (None, None)
    assert timedelta() <= datetime.now(UTC) - avatar.used_at < timedelta(minutes=1)
    assert call is not None
    assert call.avatar_id == "ada"


def test_readers_do_not_wait_for_writers(database: Database):
    with database.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_times_come_back_as_the_same_moment(database: Database):
    avatar = an_avatar()
    avatar.created_at = NOON.astimezone(timezone(timedelta(hours=5)))
    AvatarStore(database).add(avatar)
    found = AvatarStore(database).get("ada")
    assert found is not None
    assert found.created_at == NOON
    assert found.created_at.tzinfo is UTC


def test_an_avatar_can_be_put_twice_but_added_once(database: Database):
    store = AvatarStore(database)
    store.put(an_avatar())
    store.put(an_avatar())
    assert len(store.all()) == 1
    with pytest.raises(IntegrityError):
        store.add(an_avatar())


def test_an_avatar_goes_with_its_calls_and_no_others(database: Database):
    avatars, calls = AvatarStore(database), CallStore(database)
    avatars.add(an_avatar())
    avatars.add(an_avatar("bob"))
    for room, avatar_id in (("call-1", "ada"), ("call-2", "ada"), ("call-3", "bob")):
        assert calls.add(a_call(room, avatar_id))
    calls.end("call-2", "left")
    assert avatars.remove("ada", closed=[]) is None, "a call is live that nobody closed"
    assert len(calls.live()) == 2
    assert sorted(avatars.remove("ada", closed=["call-1"]) or []) == ["call-1", "call-2"]
    assert [avatar.id for avatar in avatars.all()] == ["bob"]
    assert [call.room for call in calls.live()] == ["call-3"]
    assert avatars.remove("ada", closed=[]) == []


def test_a_call_of_an_avatar_that_is_gone_is_not_added(database: Database):
    calls = CallStore(database)
    assert not calls.add(a_call("call-1", "ada"))
    assert calls.get("call-1") is None


def test_a_call_is_a_use_of_its_avatar(database: Database):
    store, later = AvatarStore(database), NOON + timedelta(days=1)
    store.add(an_avatar())
    store.add(an_avatar("bob"))
    assert sorted(store.unused_since(later)) == ["ada", "bob"]
    CallStore(database).add(a_call("call-1", "ada", created_at=later))
    CallStore(database).end("call-1", "left")
    assert store.unused_since(later) == ["bob"]
    assert store.unused_since(NOON) == []


def test_an_avatar_in_a_call_is_used_however_long_that_lasts(database: Database):
    store, calls = AvatarStore(database), CallStore(database)
    store.add(an_avatar())
    calls.add(a_call("call-1", "ada"))
    assert store.unused_since(NOON + timedelta(days=9)) == []
    calls.end("call-1", "left")
    assert store.unused_since(NOON + timedelta(days=9)) == ["ada"]


def test_live_calls_are_those_that_have_not_ended_oldest_first(database: Database):
    calls = CallStore(database)
    calls.add(a_call("call-2", created_at=NOON + timedelta(minutes=1)))
    calls.add(a_call("call-1"))
    calls.add(a_call("call-3"))
    calls.end("call-3", "deleted")
    assert [call.room for call in calls.live()] == ["call-1", "call-2"]


def test_nothing_leaves_the_end(database: Database):
    calls = CallStore(database)
    calls.add(a_call("call-1"))
    assert calls.end("call-1", "deleted")
    assert not calls.end("call-1", "expired")
    calls.caller_joined("call-1")
    found = calls.get("call-1")
    assert found is not None
    assert (found.state, found.end_reason, found.callers) == ("ended", "deleted", 0)


def test_calls_that_do_not_exist_are_left_alone(database: Database):
    calls = CallStore(database)
    assert not calls.end("nobody", "deleted")
    assert calls.agent_joined("nobody") is None
    calls.caller_joined("nobody")
    calls.activate("nobody")
    calls.dispatched("nobody")
    assert calls.get("nobody") is None


def test_a_failed_transaction_leaves_nothing(database: Database):
    def fail_half_way() -> None:
        with database.session() as session:
            session.add(an_avatar())
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert AvatarStore(database).all() == []


def test_an_error_tells_nothing_of_what_was_to_be_stored(database: Database):
    """Errors go into logs."""
    with database.session() as session:
        session.execute(text("DROP TABLE calls"))
    said = "what nobody else may read"
    with pytest.raises(SQLAlchemyError, match="UPDATE calls") as failed:
        CallStore(database).remember("room", said)
    assert said not in "".join(traceback.format_exception(failed.value))


def test_a_plain_postgresql_address_uses_the_driver_that_is_installed():
    url = "postgresql://me:secret@db.example/calls"
    for given in (url, url.replace("postgresql", "postgresql+psycopg")):
        database = Database(given)
        assert database.engine.url == make_url("postgresql+psycopg://me:secret@db.example/calls")


def test_a_database_that_cannot_be_opened_does_not_answer(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/no/such/folder.sqlite3")
    with pytest.raises(SQLAlchemyError):
        database.ping()
    database.close()
