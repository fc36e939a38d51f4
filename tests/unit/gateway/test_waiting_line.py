"""First come, first served, and only who keeps asking."""

import pytest

from gateway.waiting_line import MAX_WAITING, PATIENCE_S, WaitingLine

pytestmark = pytest.mark.unit


def test_whoever_finds_a_place_does_not_wait():
    line = WaitingLine()
    standing = line.ask(None, free=1, now_s=0)
    assert (standing.position, standing.ticket) == (0, None)
    assert line.length(0) == 0


def test_those_who_wait_are_let_in_in_the_order_in_which_they_came():
    line = WaitingLine()
    first, second = (line.ask(None, free=0, now_s=0) for _ in range(2))
    assert [first.position, second.position] == [1, 2]
    assert line.ask(second.ticket, free=1, now_s=1).position == 2
    assert line.ask(first.ticket, free=1, now_s=2).position == 0
    assert line.ask(second.ticket, free=0, now_s=3).position == 1
    assert line.ask(second.ticket, free=1, now_s=4).position == 0


def test_nobody_without_a_ticket_overtakes():
    line = WaitingLine()
    waiting = line.ask(None, free=0, now_s=0)
    late = line.ask(None, free=1, now_s=1)
    assert late.position == 2
    assert line.ask(waiting.ticket, free=1, now_s=2).position == 0


def test_who_asks_again_keeps_the_ticket_and_is_not_new():
    line = WaitingLine()
    first = line.ask(None, free=0, now_s=0)
    again = line.ask(first.ticket, free=0, now_s=10)
    assert (first.new, again.new, again.ticket) == (True, False, first.ticket)


def test_a_ticket_that_does_not_come_back_loses_its_place():
    line = WaitingLine()
    gone, patient = (line.ask(None, free=0, now_s=0) for _ in range(2))
    assert line.ask(patient.ticket, free=0, now_s=PATIENCE_S).position == 2
    assert line.ask(patient.ticket, free=0, now_s=PATIENCE_S + 1).position == 1
    late = line.ask(gone.ticket, free=0, now_s=PATIENCE_S + 2)
    assert late.position == 2
    assert late.ticket != gone.ticket


def test_who_leaves_lets_the_others_move_up():
    line = WaitingLine()
    first, second = (line.ask(None, free=0, now_s=0) for _ in range(2))
    line.leave(str(first.ticket))
    line.leave("no ticket")
    assert line.ask(second.ticket, free=1, now_s=1).position == 0


def test_the_line_is_bounded():
    line = WaitingLine()
    for _ in range(MAX_WAITING):
        line.ask(None, free=0, now_s=0)
    refused = line.ask(None, free=0, now_s=0)
    assert (refused.ticket, refused.position) == (None, MAX_WAITING + 1)
    assert line.length(0) == MAX_WAITING
