"""The doctor names each missing piece and the command that repairs it."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services import doctor
from services.bootstrap.machine import Problem
from services.cli import app
from services.settings import Settings

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
