"""Bad pictures on the way that uploads take: the gateway's route, then the Actor's intake.

Only the socket between the two is left out: gateway and intake are one process here, which also
makes the pictures; each is decoded in a process of its own.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
from fastapi.testclient import TestClient

from actor_server.portrait import decoding_process
from actor_server.portrait.intake import PortraitIntake
from gateway.app import create_app
from gateway.settings import GatewaySettings
from proto.codec import decode, encode
from proto.messages import CheckPortrait, PortraitChecked
from tests.fuzz.bad_pictures import bad_picture
from tests.fuzz.figures import Figures
from tests.unit.gateway.conftest import KEY, LOCAL_URL, SECRET, FakeRooms

REFUSALS = {
    "not_an_image": 415,
    "too_large": 413,
    "no_face": 422,
    "many_faces": 422,
    "too_small": 422,
    "too_turned": 422,
    "blurred": 422,
    "not_a_person": 422,
    "mouth_hidden": 422,
}
SAMPLE_EVERY_S = 0.005


class IntakeChecker:
    """The gateway's PortraitChecker over a real intake; both messages cross the codec."""

    def __init__(self, intake: PortraitIntake) -> None:
        self._intake = intake
        self._one_at_a_time = asyncio.Lock()

    async def check(self, image: bytes) -> PortraitChecked:
        asked = CheckPortrait(session_id="p", image=np.frombuffer(image, np.uint8))
        arrived = decode(encode(asked))
        assert isinstance(arrived, CheckPortrait)
        async with self._one_at_a_time:
            verdict = await asyncio.to_thread(self._intake.check, arrived.image.tobytes())
        png = verdict.crop_png()
        answer = PortraitChecked(
            session_id="p",
            code=verdict.code,
            hint=verdict.hint,
            checks=verdict.checks,
            crop=None if png is None else np.frombuffer(png, np.uint8),
        )
        back = decode(encode(answer))
        assert isinstance(back, PortraitChecked)
        return back


def fuzz_pictures(count: int, assets: Path, first: int = 0) -> Figures:
    """Upload so many pictures."""
    began_s = time.monotonic()
    answers: Counter[str] = Counter()
    findings: list[str] = []
    with _gateway(assets) as client, peak_memory() as peak:
        for number in range(first, first + count):
            family, file = bad_picture(number)
            try:
                answers[_upload(client, file)] += 1
            except Exception as crash:  # noqa: BLE001 - whatever comes out is a finding
                findings.append(f"{family} {number}: {crash!r}"[:800])
    return Figures(
        "pictures",
        count,
        answers["ok"],
        len(findings),
        round(time.monotonic() - began_s, 1),
        peak_mb=round(peak.own_mb, 1),
        decoder_peak_mb=round(peak.decoder_mb, 1),
        findings=tuple(findings),
        answers=dict(answers),
    )


def _upload(client: TestClient, file: bytes) -> str:
    """The answer's code. Raises AssertionError unless it is success or a refusal with advice."""
    form = {"name": "x", "consent": "true"}
    answer = client.post("/api/avatars", data=form, files={"portrait": ("a.jpg", file)})
    if answer.status_code == 201:
        crop = client.get(answer.json()["preview_url"])
        assert crop.content.startswith(b"\x89PNG"), "what is kept is our own PNG"
        assert client.delete(f"/api/avatars/{answer.json()['id']}").status_code == 204
        return "ok"
    problem = answer.json()
    assert REFUSALS.get(problem["code"]) == answer.status_code, problem
    assert problem["title"], problem
    assert problem["hint"], problem
    return str(problem["code"])


@contextmanager
def _gateway(assets: Path) -> Iterator[TestClient]:
    intake = PortraitIntake.from_assets(assets)
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            settings = GatewaySettings(
                livekit_api_key=KEY,
                livekit_api_secret=SECRET,
                data_dir=work / "data",
                app_dir=work / "app",
                watchdog_interval_s=3600,
            )
            app = create_app(settings, IntakeChecker(intake), FakeRooms())
            with TestClient(app, LOCAL_URL, raise_server_exceptions=False) as client:
                yield client
    finally:
        intake.close()


@dataclass
class Peak:
    """Highest resident memory: of this process above its start, and of any decoder it started."""

    own_mb: float = 0.0
    decoder_mb: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Filled while this runs."""
    process, done, peak = psutil.Process(), Event(), Peak()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            peak.own_mb = max(peak.own_mb, (process.memory_info().rss - before) / 2**20)
            for child in process.children():
                peak.decoder_mb = max(peak.decoder_mb, _high_water_mb(child.pid))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _high_water_mb(pid: int) -> float:
    """The most that a decoder ever had resident; 0 when it is gone, or before it is one.

    Until a child runs its own program, its memory is that of its parent.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    if decoding_process.__name__ not in command:
        return 0.0
    kib = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kib[0]) / 1024 if kib else 0.0
