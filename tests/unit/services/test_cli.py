"""The command line refuses in plain words."""

import json
import socket
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from services.bootstrap import livekit_server
from services.cli import app
from services.provenance import ProvenanceKey, jwk, statement
from services.supervisor import supervisor
from services.supervisor.plan import Machine
from services.supervisor.supervisor import Progress, StartError, Supervisor

pytestmark = pytest.mark.unit


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without anything but a LiveKit server that cannot run."""
    monkeypatch.setenv("XSTREAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XSTREAMER_DATA", str(tmp_path / "data"))
    program = tmp_path / "cache" / "bin" / f"livekit-server-v{livekit_server.VERSION}"
    program.parent.mkdir(parents=True)
    program.touch()
    return tmp_path


def test_a_taken_port_ends_the_start_before_anything_runs(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("XSTREAMER_GATEWAY_PORT", str(other.getsockname()[1]))
        result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 1
    assert "change `port` in [gateway] of xstreamer.toml" in result.stderr
    assert not (empty_machine / "data" / "logs" / "livekit.log").exists()


def test_a_statement_of_provenance_is_verified_with_the_gateways_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = ProvenanceKey.new()
    signed = key.sign(statement("call-1", "avatar-1", "mara", ["TR_a", "TR_b"]))

    def get(url: str) -> httpx.Response:
        assert url == "https://calls.example/.well-known/jwks.json"
        jwks = {"keys": [jwk(key.public_text)]}
        return httpx.Response(200, json=jwks, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    seen = ["--identity", "avatar-1", "--track", "TR_a", "--url", "https://calls.example"]
    held = CliRunner().invoke(app, ["verify", signed, "--room", "call-1", *seen])
    assert held.exit_code == 0, held.output
    assert json.loads(held.output)["synthetic"] is True
    refused = CliRunner().invoke(app, ["verify", signed, "--room", "call-2", *seen])
    assert refused.exit_code == 1
    assert "it speaks of room call-1, not call-2" in refused.stderr


def test_an_unknown_preset_is_refused(empty_machine: Path) -> None:
    result = CliRunner().invoke(app, ["up", "--preset", "enormous"])
    assert result.exit_code == 1
    assert "preset" in result.stderr
    assert "'nano'" in result.stderr


def test_an_unknown_motion_is_refused(empty_machine: Path) -> None:
    result = CliRunner().invoke(app, ["up", "--motion", "puppets"])
    assert result.exit_code == 2
    assert "'teacher'" in result.stderr


def test_the_motion_that_was_asked_for_reaches_the_actor(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Machine] = []

    def start_nothing(machine: Machine, progress: Progress) -> Supervisor:
        started.append(machine)
        raise StartError("not in this test")

    monkeypatch.setattr(supervisor, "Supervisor", start_nothing)
    CliRunner().invoke(app, ["up", "--motion", "teacher"])
    (machine,) = started
    (plan,) = (plan for plan in machine.plans() if plan.name == "actor")
    assert plan.env["XSTREAMER_ACTOR_MOTION"] == "teacher"


def test_a_missing_livekit_server_names_the_command(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XSTREAMER_CACHE", str(empty_machine / "other"))
    monkeypatch.setenv("PATH", str(empty_machine))
    result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 1
    assert "make setup" in result.stderr


def test_missing_models_are_listed_with_their_licence(empty_machine: Path) -> None:
    result = CliRunner().invoke(app, ["assets", "check"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "missing" in result.output
    assert "Apache-2.0" in result.output
    assert "xstreamer assets fetch" in result.stderr


def test_the_status_of_nothing_is_told(empty_machine: Path) -> None:
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "nothing runs" in result.stderr
