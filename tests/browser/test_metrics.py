"""Prometheus as deploy/ provisions it, scraping the real machine while somebody calls."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from tests.browser.conftest import eventually
from tests.browser.provisioned import METRICS_PORTS, PROVISIONED, lacking, queries
from tests.conftest import Stack, free_ports

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_S = 40.0
FIGURES_WITHIN_S = 30.0


@pytest.fixture
def prometheus(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """URL of Debian's Prometheus with the provisioned rules, scraping every second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("Prometheus is missing. Debian: apt-get install prometheus")
    config = yaml.safe_load((PROVISIONED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(PROVISIONED / "rules.yml", tmp_path)
    (tmp_path / "targets.yml").write_text(yaml.safe_dump(_targets(stack)))
    (port,) = free_ports(1)
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _targets(stack: Stack) -> list[dict[str, Any]]:
    """The provisioned targets on this machine's ports; it runs LiveKit without metrics."""
    provisioned = yaml.safe_load((PROVISIONED / "targets.yml").read_text())
    jobs = [group["labels"]["job"] for group in provisioned]
    assert set(jobs) == {*METRICS_PORTS, "livekit"}
    ports = {job: stack.env[f"XSTREAMER_{METRICS_PORTS[job]}"] for job in METRICS_PORTS}
    return [{"targets": [f"127.0.0.1:{ports[job]}"], "labels": {"job": job}} for job in ports]


async def test_every_panel_and_every_alert_has_figures_after_a_call(
    stack: Stack, browser: CallbenchConfig, prometheus: str
) -> None:
    async with httpx.AsyncClient(base_url=prometheus, timeout=10, trust_env=False) as client:
        await eventually(lambda: _scraped(client), 30, "every part was scraped")
        await _ask_and_interrupt(stack, browser)
        missing = await _missing(client)
        deadline = time.monotonic() + FIGURES_WITHIN_S
        while missing and time.monotonic() < deadline:
            await asyncio.sleep(1)
            missing = await _missing(client)
        assert not missing
        rules = (await client.get("/api/v1/rules")).json()["data"]["groups"]
        unhealthy = [r["name"] for g in rules for r in g["rules"] if r["health"] != "ok"]
        assert not unhealthy


async def _ask_and_interrupt(stack: Stack, browser: CallbenchConfig) -> None:
    """A question that is answered, and one whose answer is spoken into."""
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.call("mara")
        await caller.listen(2)
        spoken = await caller.say("france")
        await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)
        await page.hear_out(1)
        spoken = await caller.say("story")
        await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)
        await caller.say("italy")
        # Two reports of what the page saw, five seconds apart, make a rate.
        await caller.listen(12)
        await page.end()


async def _scraped(client: httpx.AsyncClient) -> bool:
    try:
        up = await _values(client, "up")
    except httpx.HTTPError:
        return False
    return len(up) == len(METRICS_PORTS) and all(value == 1 for value in up)


async def _missing(client: httpx.AsyncClient) -> dict[str, set[str]]:
    """The queries without a figure, or without one of every stage and other label."""
    found = {
        name: lacking(expression, await _series(client, expression))
        for name, expression in queries().items()
    }
    return {name: without for name, without in found.items() if without}


async def _values(client: httpx.AsyncClient, expression: str) -> list[float]:
    return [float(series["value"][1]) for series in await _series(client, expression)]


async def _series(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    response = await client.get("/api/v1/query", params={"query": expression})
    answer = response.raise_for_status().json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    return list(answer["data"]["result"])
