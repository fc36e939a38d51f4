"""The doctor names each missing piece and the command that repairs it."""

import importlib.metadata
import io
import json
import socket
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from proto.messages import EngineStatus
from services import doctor
from services.bootstrap.machine import Problem
from services.cli import app
from services.paths import REPOSITORY
from services.settings import Settings
from services.supervisor.directories import state_file

pytestmark = pytest.mark.unit


def findings(check: doctor.Check, settings: Settings) -> list[doctor.Finding]:
    return list(check(settings))


def test_missing_models_are_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    (finding,) = findings(doctor._models, Settings(cache=tmp_path))
    assert not finding.ok
    assert "face_landmarker.task" in finding.detail
    assert finding.fix == "xstreamer assets fetch"


def test_a_missing_livekit_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = findings(doctor._livekit, Settings(cache=tmp_path))
    assert (finding.ok, finding.fix) == (False, "make setup")


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = Settings(data=tmp_path, gateway={"port": port})
        bad = [f for f in findings(doctor._ports, settings) if not f.ok]
    assert any(str(port) in f.detail and "XSTREAMER_GATEWAY_PORT" in f.fix for f in bad)


def test_missing_libraries_are_named_with_the_apt_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "missing_libraries", lambda: ["libegl1"])
    (finding,) = findings(doctor._libraries, Settings())
    assert "apt-get install -y libegl1" in finding.fix


def test_an_unsupported_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "all_problems", lambda: [Problem("old glibc", "use Debian 12")])
    (finding,) = findings(doctor._machine, Settings())
    assert (finding.ok, finding.detail, finding.fix) == (False, "old glibc", "use Debian 12")


def test_the_doctor_says_which_brain_is_configured_and_how_to_change_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, thinker={"brain": "openai"})
    (finding,) = findings(doctor._brain, settings)
    assert "configured: openai" in finding.detail
    assert "`brain` in [thinker] of xstreamer.toml" in finding.detail


def test_weights_that_a_preset_misses_are_named_with_the_commands_that_bring_them(
    tmp_path: Path,
) -> None:
    settings = Settings(preset="glm4voice", data=tmp_path, cache=tmp_path)
    (finding,) = findings(doctor._preset, settings)
    assert not finding.ok
    assert "--preset glm4voice`, then `xstreamer weights convert`" in finding.fix


def test_a_preset_with_a_brain_of_its_own_is_not_told_to_choose_another(tmp_path: Path) -> None:
    settings = Settings(preset="tiny-glm", data=tmp_path)
    (finding,) = findings(doctor._brain, settings)
    assert finding.detail == "preset tiny-glm brings its own; nothing runs now"


def test_the_doctor_says_what_moves_the_face_and_how_to_change_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, actor={"motion": "teacher"})
    (finding,) = findings(doctor._motion, settings)
    assert "configured: teacher; nothing runs now" in finding.detail
    assert "`motion` in [actor] of xstreamer.toml" in finding.detail


def test_the_command_fails_while_something_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor._models,))
    monkeypatch.setenv("XSTREAMER_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "-> xstreamer assets fetch" in result.output


def test_a_machine_without_a_problem_is_said_to_be_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "all_problems", list)
    (finding,) = findings(doctor._machine, Settings())
    assert finding.ok


@pytest.mark.parametrize(("gigabytes", "ok"), [(64, True), (1, False)])
def test_too_little_memory_is_named(
    gigabytes: int, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=gigabytes * 10**9)
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: free)
    (finding,) = findings(doctor._memory, Settings())
    assert finding.ok is ok
    assert ("close programs" in finding.fix) is not ok


def test_packages_of_another_version_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    versions = dict(one.split("==") for one in pinned)
    here = {name.split("[")[0]: version for name, version in versions.items()}

    def version(name: str) -> str:
        try:
            return here[name]
        except KeyError:
            raise importlib.metadata.PackageNotFoundError(name) from None

    monkeypatch.setattr(importlib.metadata, "version", version)
    (finding,) = findings(doctor._packages, Settings())
    assert finding.ok
    here["httpx"] = "0.1"
    del here["psycopg"]
    (finding,) = findings(doctor._packages, Settings())
    assert "found 0.1" in finding.detail
    assert "psycopg[binary]" in finding.detail
    assert "found none" in finding.detail
    assert finding.detail.count("(found") == 2
    assert "make setup" in finding.fix


def test_a_livekit_server_elsewhere_is_not_looked_for_here() -> None:
    livekit = {"url": "wss://calls", "api_key": "key", "api_secret": "secret"}
    settings = Settings(only=("thinker", "actor"), livekit=livekit)
    (finding,) = findings(doctor._livekit, settings)
    assert (finding.ok, finding.detail) == (True, "on another machine: wss://calls")


def test_a_livekit_server_of_ones_own_choice_is_taken(tmp_path: Path) -> None:
    program = tmp_path / "livekit"
    program.touch()
    (finding,) = findings(doctor._livekit, Settings(livekit={"binary": str(program)}))
    assert (finding.ok, finding.detail) == (True, str(program))


@pytest.mark.parametrize("with_node", [True, False])
def test_a_page_that_is_older_than_its_sources_is_named(
    with_node: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.web_page, "is_current", lambda _: False)
    monkeypatch.setattr(doctor.node, "machine_has_node", lambda _: with_node)
    (finding,) = findings(doctor._page, Settings())
    assert (finding.ok, finding.fix) == (False, "make setup")
    assert ("Node comes from a wheel" in finding.detail) is not with_node
    monkeypatch.setattr(doctor.web_page, "is_current", lambda _: True)
    (finding,) = findings(doctor._page, Settings())
    assert finding.ok


def test_models_that_are_all_there_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.AssetStore, "missing", lambda *_: [])
    (finding,) = findings(doctor._models, Settings(cache=tmp_path))
    assert (finding.ok, finding.fix) == (True, "")


def running(folder: Path, **state: object) -> Settings:
    """The settings of a machine that runs, and says so."""
    state_file(folder).write_text(json.dumps({"pid": 4711, **state}))
    return Settings(data=folder)


def test_ports_that_our_own_process_uses_are_well(tmp_path: Path) -> None:
    (finding,) = findings(doctor._ports, running(tmp_path))
    assert (finding.ok, finding.detail) == (True, "in use by our own process 4711")


def test_the_preset_that_runs_is_named_beside_the_configured_one(tmp_path: Path) -> None:
    (finding,) = findings(doctor._preset, running(tmp_path, preset="tiny-glm"))
    assert finding.detail == "configured: nano; running: tiny-glm"


def status(**labels: str) -> EngineStatus:
    return EngineStatus(
        session_id="supervisor",
        engine="actor",
        real_time_factor=0.2,
        queue_depth=0,
        sessions=1,
        labels=labels,
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (status(motion="transformer"), "running: transformer"),
        (
            status(motion="transformer", saving="teacher"),
            "running: transformer (calls save work, down to: teacher)",
        ),
        (status(), "running: unknown"),
        ("loading", "the actor says: loading"),
    ],
)
def test_the_running_engine_is_asked_what_it_is(
    said: EngineStatus | str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: doctor.EngineProbe) -> EngineStatus | str:
        return said

    monkeypatch.setattr(doctor.EngineProbe, "status", answer)
    settings = running(tmp_path, actor_endpoint="ipc:///nowhere")
    (finding,) = findings(doctor._motion, settings)
    assert f"configured: auto; {shown}; " in finding.detail


@pytest.mark.parametrize("reachable", [True, False])
def test_a_hub_that_cannot_be_reached_is_no_fault(
    reachable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        assert request.get_method() == "HEAD"
        if not reachable:
            raise urllib.error.URLError("no route to host")
        return io.BytesIO()

    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    (finding,) = findings(doctor._hub, Settings())
    assert finding.ok
    assert finding.detail.startswith("https://hub.example ")
    assert ("no route to host" in finding.detail) is not reachable
