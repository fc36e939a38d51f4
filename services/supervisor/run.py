"""The life of one machine in the foreground: up, kept, and down again on a signal."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from services.bootstrap import livekit_server
from services.settings import Settings, SettingsError
from services.supervisor.certificates import Certificate, self_signed
from services.supervisor.credentials import livekit_key, page_key, provenance_key
from services.supervisor.directories import Directories
from services.supervisor.plan import Machine
from services.supervisor.supervisor import Supervisor

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def describe_machine(settings: Settings, directories: Directories, *, tls: bool) -> Machine:
    """Everything the plans need. Raises SettingsError, CertificateError."""
    return Machine(
        settings=settings,
        directories=directories,
        livekit_program=_livekit_program(settings) if "livekit" in settings.only else None,
        livekit_key=livekit_key(settings),
        provenance_key=provenance_key(settings),
        certificate=_certificate(settings, tls=tls),
        environ=dict(os.environ),
        page_key=page_key(settings.gateway),
    )


async def until_signalled(supervisor: Supervisor, on_ready: Callable[[], None]) -> None:
    """Start, keep running, stop. A second signal while stopping kills at once.

    Raises: PortError, StartError.
    """
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            for child in supervisor.children:
                child.kill()
        asked.set()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, ask)
    work = asyncio.create_task(_start_and_keep(supervisor, on_ready), name="supervise")
    signalled = asyncio.create_task(asked.wait(), name="signals")
    try:
        await asyncio.wait({work, signalled}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    finally:
        await supervisor.stop()
        signalled.cancel()


async def _start_and_keep(supervisor: Supervisor, on_ready: Callable[[], None]) -> None:
    await supervisor.start()
    on_ready()
    await supervisor.keep()


def _livekit_program(settings: Settings) -> Path:
    if settings.livekit.binary:
        program = Path(settings.livekit.binary).expanduser()
        if not os.access(program, os.X_OK):
            raise SettingsError(f"[livekit] binary names {program}, which cannot be run")
        return program
    found = livekit_server.find(settings.cache_paths, os.environ)
    if found is None:
        raise SettingsError(
            f"LiveKit server {livekit_server.VERSION} is not installed; get it with `make setup`"
        )
    return found


def _certificate(settings: Settings, *, tls: bool) -> Certificate | None:
    gateway = settings.gateway
    if gateway.tls_cert and gateway.tls_key:
        return Certificate(Path(gateway.tls_cert), Path(gateway.tls_key))
    return self_signed(settings.data) if tls else None
