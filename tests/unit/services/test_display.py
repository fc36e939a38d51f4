"""What a person sees while things start or download."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from services import display
from services.display import AssetBars, start_display

pytestmark = pytest.mark.unit


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    shown = io.StringIO()
    return Console(file=shown, force_terminal=terminal, width=200, color_system=None), shown


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "provenance_problem", lambda *_: "")
    monkeypatch.setattr(display, "network_address", lambda: "192.0.2.7")


def machine(key: str = "", *, local: bool = True, wants_keys: bool = False, **more: Any) -> Any:
    gateway = SimpleNamespace(is_local=local, wants_keys=wants_keys, port=8080)
    settings = SimpleNamespace(only=("livekit", "gateway"), gateway=gateway)
    found = SimpleNamespace(
        settings=settings,
        page_key=key,
        url="http://127.0.0.1:8080",
        scheme="http",
        provenance_key=None,
    )
    settings.__dict__.update(more)
    return found


def test_without_a_terminal_each_change_is_a_line_and_said_once() -> None:
    where, shown = console(terminal=False)
    with start_display(where) as display_:
        for state in ("loading", "loading", "ready"):
            display_.report("actor", state)
    assert shown.getvalue().splitlines() == ["[actor] loading", "[actor] ready"]


def test_a_state_of_many_lines_is_one_short_one() -> None:
    where, shown = console(terminal=False)
    with start_display(where) as display_:
        display_.report("actor", "failed:\n   " + "x" * 500)
    (line,) = shown.getvalue().splitlines()
    assert len(line) == len("[actor] ") + display.MAX_STATE_CHARACTERS


def test_on_a_terminal_each_process_has_a_row() -> None:
    where, shown = console(terminal=True)
    with start_display(where) as display_:
        display_.report("actor", "loading")
        display_.report("thinker", "ready")
        table = display_._table()
        display_.ready(machine())
        display_.report("actor", "restarted")
    assert table.row_count == 2
    assert "actor" in shown.getvalue()
    assert "[actor] restarted" in shown.getvalue(), "the rows are gone when all is up"


@pytest.mark.parametrize(
    ("where_it_runs", "told", "untold"),
    [
        (machine(), ["Open http://127.0.0.1:8080\n", "Ctrl-C"], ["other machines", "#key"]),
        (
            machine("xs_1", local=False, wants_keys=True),
            ["8080/#key=xs_1", "http://192.0.2.7:8080/#key=xs_1", "may do everything"],
            ["asks for a key"],
        ),
        (machine(local=False, wants_keys=True), ["The page asks for a key"], ["#key"]),
        (machine(only=("actor", "thinker")), ["Here run actor, thinker."], ["Open"]),
    ],
    ids=["local", "with its own key", "with a chosen key", "engines only"],
)
def test_who_started_it_is_told_where_it_is(
    where_it_runs: Any, told: list[str], untold: list[str]
) -> None:
    where, shown = console(terminal=False)
    with start_display(where) as display_:
        display_.ready(where_it_runs)
    assert all(words in shown.getvalue() for words in told), shown.getvalue()
    assert not any(words in shown.getvalue() for words in untold), shown.getvalue()


def test_streams_that_nobody_signs_are_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "provenance_problem", lambda *_: "nothing is signed")
    where, shown = console(terminal=False)
    with start_display(where) as display_:
        display_.ready(machine())
    assert "nothing is signed" in shown.getvalue()


def test_each_file_has_one_bar() -> None:
    where, shown = console(terminal=False)
    with AssetBars(where) as bars:
        bars.report("a.bin", 1, 4)
        bars.report("a.bin", 4, 4)
        bars.report("b.bin", 0, 8)
        bars.say("a.bin came from a mirror")
        done = {task.description: (task.completed, task.total) for task in bars._progress.tasks}
    assert done == {"a.bin": (4, 4), "b.bin": (0, 8)}
    assert "a.bin came from a mirror" in shown.getvalue()
