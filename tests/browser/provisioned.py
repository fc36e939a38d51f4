"""What deploy/ asks Prometheus for, and the series that each answer must have."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gateway.metrics import KNOWN_FAILURES
from services.paths import REPOSITORY
from services.room_agent.stages import STAGES

PROVISIONED = REPOSITORY / "deploy" / "prometheus"
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboards" / "xstreamer.json"
METRICS_PORTS = {
    "gateway": "GATEWAY_PORT",
    "thinker": "THINKER_METRICS_PORT",
    "actor": "ACTOR_METRICS_PORT",
    "agent": "AGENT_HEALTH_PORT",
}
COMPARISON = re.compile(r"\s(?:<|>|<=|>=|==)\s[-0-9.]+$")
NOT_WITH_NANO = {"speech_decode"}
"""Stages of other presets: here the Thinker makes the sound."""
STAGES_WITH_NANO = {stage.name for stage in STAGES} - NOT_WITH_NANO
EVERY: Mapping[str, tuple[str, set[str]]] = {
    "xstreamer:turn_stage_seconds:p50": ("stage", STAGES_WITH_NANO),
    "xstreamer:turn_stage_seconds:p95": ("stage", STAGES_WITH_NANO),
    "xstreamer:barge_in_seconds:p95": ("until", {"detected", "noticed", "silence", "still"}),
    "xstreamer:barge_in_after_detection_seconds:p95": ("until", {"silence", "still"}),
    "sum by (outcome) (increase(xstreamer_turns_total[5m]))": (
        "outcome",
        {"completed", "interrupted", "empty", "failed"},
    ),
    "xstreamer:call_failures:5m": ("code", {*KNOWN_FAILURES, "other"}),
    "up": ("job", set(METRICS_PORTS)),
}
"""Of queries that give a series for each value of a label: the label, and the values."""
Series = Mapping[str, Any]


def queries() -> dict[str, str]:
    """Every panel's queries, every recorded figure, and what every alert compares."""
    found: dict[str, str] = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    for group in yaml.safe_load((PROVISIONED / "rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            name = rule.get("record") or rule["alert"]
            found[f"rule {name}"] = COMPARISON.sub("", rule["expr"]) if "alert" in rule else name
    return found


def lacking(expression: str, answer: Sequence[Series]) -> set[str]:
    """What has no finite figure in Prometheus' answer: values of a label, or all of it."""
    finite = [series for series in answer if math.isfinite(float(series["value"][1]))]
    if expression not in EVERY:
        return set() if finite else {"every series"}
    label, values = EVERY[expression]
    return values - {series["metric"].get(label) for series in finite}
