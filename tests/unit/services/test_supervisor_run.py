"""The life of a machine in the foreground, its certificate, and what engines say of themselves."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proto.message import Message
from proto.messages import EngineStatus, Failure, Ping
from services.settings import Settings, SettingsError
from services.supervisor import certificates, readiness, run
from services.supervisor.certificates import CertificateError, self_signed
from services.supervisor.readiness import EngineProbe
from services.supervisor.run import until_signalled

pytestmark = pytest.mark.unit


class NotedSupervisor:
    """Starts nothing; notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stopping = asyncio.Event()
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.killed = 0
        self.fails = False
        self.children = [SimpleNamespace(kill=self._kill) for _ in range(3)]

    def _kill(self) -> None:
        self.killed += 1
        self.may_stop.set()

    async def start(self) -> None:
        self.asked.append("start")
        if self.fails:
            raise RuntimeError("the port is taken")

    async def keep(self) -> None:
        self.asked.append("keep")
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.asked.append("stop")
        self.stopping.set()
        await self.may_stop.wait()


@asynccontextmanager
async def kept(supervisor: Any) -> AsyncIterator["asyncio.Task[None]"]:
    ready = asyncio.Event()
    life = asyncio.create_task(until_signalled(supervisor, ready.set))
    await asyncio.wait_for(ready.wait(), 5)
    try:
        yield life
    finally:
        life.cancel()
        await asyncio.wait([life])
        for number in run.STOP_SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)


@pytest.mark.parametrize("number", run.STOP_SIGNALS)
async def test_a_signal_stops_what_runs(number: signal.Signals) -> None:
    supervisor = NotedSupervisor()
    async with kept(supervisor) as life:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(life, 5)
    assert supervisor.asked == ["start", "keep", "stop"]
    assert supervisor.killed == 0


async def test_a_second_signal_kills_what_does_not_stop() -> None:
    supervisor = NotedSupervisor()
    supervisor.may_stop.clear()
    async with kept(supervisor) as life:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(supervisor.stopping.wait(), 5)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(life, 5)
    assert supervisor.killed == 3


async def test_a_start_that_fails_is_stopped_and_told() -> None:
    supervisor = NotedSupervisor()
    supervisor.fails = True
    with pytest.raises(RuntimeError, match="the port is taken"):
        await until_signalled(supervisor, lambda: pytest.fail("not ready"))  # type: ignore[arg-type]
    assert supervisor.asked == ["start", "stop"]


def test_a_livekit_server_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    program = tmp_path / "livekit"
    program.touch()
    settings = Settings(livekit={"binary": str(program)})
    with pytest.raises(SettingsError, match="cannot be run"):
        run._livekit_program(settings)
    program.chmod(0o755)
    assert run._livekit_program(settings) == program


def test_a_machine_without_a_livekit_server_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="make setup"):
        run._livekit_program(Settings(cache=tmp_path))


@pytest.fixture
def openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that notes what it is asked for, and makes two files."""
    program = tmp_path / "bin" / "openssl"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n'
        'while [ $# -gt 1 ]; do case $1 in -keyout|-out) : > "$2";; esac; shift; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(certificates, "network_address", lambda: "192.0.2.7")
    return program


def test_a_certificate_is_made_once_for_all_names_of_the_machine(
    openssl: Path, tmp_path: Path
) -> None:
    made = self_signed(tmp_path)
    assert self_signed(tmp_path) == made
    (asked,) = (openssl.parent / "asked").read_text().splitlines()
    assert "DNS:localhost" in asked
    assert "IP:192.0.2.7" in asked
    assert made.key_file.stat().st_mode & 0o777 == 0o600


def test_a_new_address_needs_a_new_certificate(
    openssl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = self_signed(tmp_path)
    monkeypatch.setattr(certificates, "network_address", lambda: "192.0.2.8")
    assert self_signed(tmp_path) != before


def test_an_openssl_that_fails_is_quoted(openssl: Path, tmp_path: Path) -> None:
    openssl.write_text("#!/bin/sh\necho no random numbers >&2\nexit 1\n")
    with pytest.raises(CertificateError, match="no random numbers"):
        self_signed(tmp_path)


def test_without_openssl_people_learn_what_to_do(
    openssl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(CertificateError, match="apt-get install openssl"):
        self_signed(tmp_path)


def test_a_certificate_of_ones_own_is_taken(tmp_path: Path) -> None:
    mine = {"tls_cert": "/etc/mine.pem", "tls_key": "/etc/mine.key"}
    found = run._certificate(Settings(gateway=mine), tls=False)
    assert found is not None
    assert (str(found.file), str(found.key_file)) == ("/etc/mine.pem", "/etc/mine.key")
    assert run._certificate(Settings(data=tmp_path), tls=False) is None


READY = EngineStatus(
    session_id="supervisor", engine="actor", real_time_factor=0.0, queue_depth=0, sessions=0
)
LOADS = Failure(session_id="supervisor", code="loading", message="reads weights", retryable=True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (READY, None),
        (LOADS, "reads weights"),
        (Ping(session_id="supervisor"), "answered with Ping"),
        (TimeoutError(), "loading"),
    ],
)
async def test_an_engine_is_ready_when_it_gives_its_status(
    answer: Message | TimeoutError, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def request(endpoint: str, *_: object) -> Message:
        assert endpoint == "ipc:///actor"
        if isinstance(answer, TimeoutError):
            raise answer
        return answer

    monkeypatch.setattr(readiness, "request", request)
    assert await EngineProbe.of("actor", "ipc:///actor", {}).reason_not_ready() == reason


def test_an_engine_with_keys_is_asked_with_its_own() -> None:
    keys = {"XSTREAMER_ACTOR_CURVE_PUBLIC_KEY": "p", "XSTREAMER_ACTOR_CURVE_SECRET_KEY": "s"}
    curve = EngineProbe.of("actor", "tcp://host:1", keys).curve
    assert curve is not None
    assert (curve.public_key, curve.server_key) == ("p", "p")
