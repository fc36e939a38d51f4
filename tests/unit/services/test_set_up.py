"""The set-up command and its steps: what they build, what they skip, what they say."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.bootstrap import board, command, livekit_server, node, web_page
from services.bootstrap.board import Board
from services.bootstrap.machine import Problem
from services.bootstrap.shell import Shell, StepError, Watch
from services.bootstrap.workshop import Workshop
from services.paths import CachePaths

pytestmark = pytest.mark.unit


class NotedShell(Shell):
    """Runs nothing: notes the commands, and does what a test says instead of them."""

    def __init__(self, folder: Path, instead: Callable[[list[str], dict[str, str]], None]) -> None:
        super().__init__(folder / "logs", {})
        self.commands: list[list[str]] = []
        self._instead = instead

    def run(self, step: str, command: object, watch: Watch, **how: object) -> str:
        argv = [str(part) for part in command]  # type: ignore[attr-defined]
        self.commands.append(argv)
        self._instead(argv, how.get("env") or {})  # type: ignore[arg-type]
        return ""


def workshop(
    folder: Path,
    instead: Callable[[list[str], dict[str, str]], None] = lambda *_: None,
    **environ: str,
) -> tuple[Workshop, NotedShell]:
    shell = NotedShell(folder, instead)
    cache = CachePaths(folder / "cache")
    return Workshop(folder / "repository", cache, shell, {"PATH": "", **environ}), shell


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, command.Step]:
    """A set-up of no steps on a machine without problems; a test adds the steps."""
    steps: dict[str, command.Step] = {}
    monkeypatch.setattr(command, "CALL_STEPS", steps)
    monkeypatch.setattr(command, "all_problems", list)
    monkeypatch.setattr(command, "disk_problems", lambda _: [])
    monkeypatch.setattr(command, "cache_paths", lambda _: CachePaths(tmp_path))
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(Workshop, "prepare_installer", lambda _: None)
    return steps


def test_every_step_is_done(set_up: dict[str, command.Step]) -> None:
    done: list[str] = []
    for name in ("one", "two"):
        set_up[name] = lambda _workshop, _watch, name=name: done.append(name) or "built"
    assert command.main([]) == 0
    assert sorted(done) == ["one", "two"]
    assert command.main(["--only", "two"]) == 0
    assert sorted(done) == ["one", "two", "two"]
    assert command.main(["--only"]) == 0, "nothing but the installer"


def test_a_machine_with_problems_is_told_all_of_them_and_nothing_is_begun(
    set_up: dict[str, command.Step],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up["one"] = lambda *_: pytest.fail("nothing may be begun")
    monkeypatch.setattr(command, "REPOSITORY", tmp_path)
    monkeypatch.setattr(command, "all_problems", lambda: [Problem("old glibc", "use Debian 12")])
    monkeypatch.setattr(command, "disk_problems", lambda _: [Problem("the disk is full", "-")])
    assert command.main([]) == 1
    told = capsys.readouterr().err
    assert "old glibc" in told
    assert "the disk is full" in told
    (tmp_path / ".venv").mkdir()
    command.main([])
    assert "the disk is full" not in capsys.readouterr().err, "what needs the space is there"


def test_a_step_that_fails_is_told_with_its_reason(
    set_up: dict[str, command.Step], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> str:
        raise OSError("no space left")

    set_up["one"] = fail
    assert command.main([]) == 1
    told = capsys.readouterr().err
    assert "one: no space left" in told
    assert "run the same command again" in told


def test_a_fault_of_ours_in_a_step_is_not_taken_for_one_of_the_machine(
    set_up: dict[str, command.Step],
) -> None:
    def stumble(*_: object) -> str:
        raise KeyError("a fault")

    set_up["one"] = stumble
    with pytest.raises(KeyError):
        command.main([])


def test_an_installer_that_cannot_be_made_ends_the_set_up(
    set_up: dict[str, command.Step],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: Workshop) -> None:
        raise StepError("no network")

    monkeypatch.setattr(Workshop, "prepare_installer", fail)
    assert command.main([]) == 1
    assert "installer: no network" in capsys.readouterr().err


def test_who_stops_the_set_up_is_told_that_nothing_is_lost(
    set_up: dict[str, command.Step],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    stopped: list[Shell] = []
    monkeypatch.setattr(Shell, "stop", lambda shell: stopped.append(shell))
    monkeypatch.setattr(command, "wait", interrupted)
    set_up["one"] = lambda *_: "built"
    assert command.main([]) == 130
    assert stopped
    assert "what is done stays done" in capsys.readouterr().err


def test_a_long_set_up_says_how_long_it_took(
    set_up: dict[str, command.Step],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.main([])
    assert "set up in" not in capsys.readouterr().err
    monkeypatch.setattr(command, "QUIET_BELOW_S", -1.0)
    command.main([])
    assert "set up in 0 s" in capsys.readouterr().err


# --- the board -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def until(happened: Callable[[], bool]) -> None:
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


def test_a_terminal_shows_every_step_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "REDRAW_S", 0.01)
    stream = Terminal()
    with Board(["one", "three"], stream) as shown:
        shown.started("one")
        shown.report("one", "half way")
        until(lambda: "half way" in stream.getvalue())
        shown.ended("one", "built", ok=True)
    last = stream.getvalue().split("\x1b[2A")[-1]
    first_row, second_row = last.replace("\x1b[2K", "").splitlines()
    assert first_row.split() == ["ok", "one", "0", "s", "built"]
    assert second_row.split() == [".", "three", "waiting"]
    assert "[one]" not in stream.getvalue(), "no lines between the rows"


def test_a_log_hears_now_and_then_what_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "PLAIN_PERIOD_S", 0.01)
    stream = io.StringIO()
    with Board(["one", "two"], stream) as shown:
        shown.started("one")
        shown.report("one", "half way")
        until(lambda: "half way" in stream.getvalue())
    assert "[two]" not in stream.getvalue(), "it has not begun"


# --- the web page --------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a page that was never built; Node is there."""
    web = web_page.sources(tmp_path / "repository")
    (web / "node_modules").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "main.ts"):
        (web / name).write_text(name)
    tool = node.Node(("npm",), {})
    monkeypatch.setattr(node, "find_or_unpack", lambda *_: tool)
    return tmp_path


def test_a_page_is_built_once_and_again_when_a_source_has_changed(page: Path) -> None:
    static = web_page.built(page / "repository")

    def build(argv: list[str], _: dict[str, str]) -> None:
        if "build" in argv:
            static.mkdir(parents=True, exist_ok=True)
            (static / "index.html").touch()

    bench, shell = workshop(page, build)
    assert web_page.install(bench, lambda _: None) == "built"
    assert shell.commands == [["npm", "ci"], ["npm", "run", "build"]]
    assert web_page.install(bench, lambda _: None) == "up to date"
    (web_page.sources(page / "repository") / "main.ts").write_text("changed")
    assert web_page.install(bench, lambda _: None) == "built"
    assert shell.commands[2:] == [["npm", "run", "build"]], "its packages are the same"


def test_a_build_that_leaves_no_page_is_told(page: Path) -> None:
    bench, _ = workshop(page)
    with pytest.raises(StepError, match=r"left no index\.html"):
        web_page.install(bench, lambda _: None)
    assert not web_page.is_current(page / "repository")


# --- LiveKit -------------------------------------------------------------------------------------


def go(folder: Path, version: str) -> Path:
    """A machine's Go."""
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    program.chmod(0o755)
    return program


def built_server(argv: list[str], env: dict[str, str]) -> None:
    """What `go install` leaves."""
    if "install" in argv and livekit_server.MODULE in argv:
        target = Path(env["GOBIN"])
        target.mkdir(parents=True)
        (target / "server").write_text("the server")


@pytest.mark.parametrize(("version", "taken"), [("1.27.1", True), ("1.21", False), ("?", False)])
def test_the_server_is_built_with_the_machines_go_if_that_is_new_enough(
    tmp_path: Path, version: str, taken: bool
) -> None:
    machines = go(tmp_path, version)
    wheel = tmp_path / "cache" / "tools" / livekit_server.GO_WHEEL.replace("==", "-")
    wheel.mkdir(parents=True)
    bench, shell = workshop(tmp_path, built_server, PATH=f"{tmp_path}:{os.environ['PATH']}")
    installed = Path(livekit_server.install(bench, lambda _: None))
    assert installed.read_text() == "the server"
    ((used, *_),) = shell.commands
    assert (used == str(machines)) is taken
    assert used == str(machines) or used.startswith(str(wheel))
    assert not wheel.exists(), "300 MB that nothing else needs"
    assert [file.name for file in installed.parent.iterdir()] == [installed.name]
    assert livekit_server.install(bench, lambda _: None) == str(installed)
    assert len(shell.commands) == 1, "built once"


def test_a_server_on_the_path_that_cannot_run_is_not_taken(tmp_path: Path) -> None:
    program = tmp_path / "livekit-server"
    program.write_text("#!/nowhere/interpreter\n")
    program.chmod(0o755)
    assert livekit_server.find(CachePaths(tmp_path / "no"), {"PATH": str(tmp_path)}) is None
