"""Messages that come before their session: held in order, for a second, within bounds."""

import pytest

from actor_server.lobby import HOLD_UNKNOWN_US, MAX_MESSAGES, MAX_SESSIONS, Lobby
from proto.messages import Grant

pytestmark = pytest.mark.unit


def grant(session_id: str, credit: int = 1) -> Grant:
    return Grant(session_id=session_id, credit=credit)


def test_messages_are_handed_over_in_order() -> None:
    lobby = Lobby()
    for credit in (1, 2, 3):
        assert lobby.hold(grant("a", credit), b"x", 0)
    assert [m.credit for m, _ in lobby.admit("a") if isinstance(m, Grant)] == [1, 2, 3]
    assert lobby.admit("a") == []


def test_what_nobody_opens_is_forgotten_after_a_second() -> None:
    lobby = Lobby()
    lobby.hold(grant("a"), b"x", 0)
    lobby.hold(grant("b"), b"x", HOLD_UNKNOWN_US + 1)
    assert lobby.admit("a") == []
    assert len(lobby.admit("b")) == 1


def test_what_is_being_opened_is_held_as_long_as_it_takes() -> None:
    lobby = Lobby()
    lobby.hold(grant("a"), b"x", 0)
    lobby.opening("a")
    lobby.expire(100 * HOLD_UNKNOWN_US)
    assert len(lobby.admit("a")) == 1


def test_it_never_holds_more_than_its_bounds() -> None:
    lobby = Lobby()
    assert [lobby.hold(grant("a"), b"x", 0) for _ in range(MAX_MESSAGES + 3)].count(False) == 3
    others = [lobby.hold(grant(f"s{n}"), b"x", 0) for n in range(MAX_SESSIONS + 5)]
    assert others.count(True) == MAX_SESSIONS - 1


def test_a_session_that_will_not_open_leaves_nothing() -> None:
    lobby = Lobby()
    lobby.opening("a")
    lobby.hold(grant("a"), b"x", 0)
    lobby.dismiss("a")
    assert lobby.admit("a") == []
