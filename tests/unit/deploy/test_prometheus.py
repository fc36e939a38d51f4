"""The provisioned alerts fire, and the test of the whole stack demands every series."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.provisioned import DASHBOARD, EVERY, STAGES_WITH_NANO, lacking, queries

pytestmark = pytest.mark.unit

SCENES = Path(__file__).with_name("alerts.yml")
EACH = re.compile(r"\{\{(\w+)\}\}")
ONE_AT_LEAST = {"step"}
"""A call that saves no work has no step."""


def test_alerts_fire_when_callers_suffer_and_not_before() -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is missing. Debian: apt-get install prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", str(SCENES)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


def an_answer(stages: set[str], value: str = "0.1") -> list[dict[str, object]]:
    return [{"metric": {"stage": stage}, "value": [0, value]} for stage in sorted(stages)]


def test_one_stage_with_figures_does_not_speak_for_the_others() -> None:
    query = "xstreamer:turn_stage_seconds:p95"
    assert lacking(query, an_answer(STAGES_WITH_NANO)) == set()
    assert lacking(query, an_answer(STAGES_WITH_NANO - {"decode", "uplink"})) == {
        "decode",
        "uplink",
    }
    assert lacking(query, an_answer(STAGES_WITH_NANO, "NaN")) == STAGES_WITH_NANO
    assert lacking("xstreamer_gateway_live_calls", []) == {"every series"}


def test_every_panel_that_shows_each_value_of_a_label_demands_each() -> None:
    shown = {
        target["expr"]: set(EACH.findall(target["legendFormat"]))
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    }
    each = {query for query, labels in shown.items() if labels - ONE_AT_LEAST}
    assert each == EVERY.keys()
    assert EVERY.keys() <= set(queries().values())
