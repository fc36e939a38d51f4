"""What deploy/ provisions names metrics that the processes have, and is explained."""

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import actor_server.metrics
import gateway.metrics  # noqa: F401 - registers the gateway's series
from services.paths import REPOSITORY
from thinker_server.metrics import ThinkerMetrics

pytestmark = pytest.mark.unit

DEPLOY = REPOSITORY / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = json.loads((DEPLOY / "grafana" / "dashboards" / "xstreamer.json").read_text())["panels"]
OF_THE_AGENT = {"xstreamer_agent_calls", "xstreamer_agent_max_calls"}


def exported() -> set[str]:
    """The names of every series, as Prometheus sees them."""
    assert actor_server.metrics.CHUNKS is not None
    families = [*REGISTRY.collect(), *ThinkerMetrics().registry.collect()]
    names = {family.name for family in families}
    suffixes = {f"{name}{suffix}" for name in names for suffix in ("", "_total", "_bucket")}
    return suffixes | OF_THE_AGENT


def expressions() -> list[str]:
    return [rule["expr"] for rule in RULES] + [
        target["expr"] for panel in PANELS for target in panel["targets"]
    ]


@pytest.mark.parametrize("expression", expressions())
def test_every_query_is_about_a_series_that_is_exported(expression: str) -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    named = set(re.findall(r"\bxstreamer[_:][a-z_:0-9]+", expression))
    assert named <= exported() | recorded
    assert named or "up" in expression


def test_grafana_leads_to_the_page_where_one_turn_can_be_looked_at() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "xstreamer.json").read_text())
    (link,) = dashboard["links"]
    (gateway,) = dashboard["templating"]["list"]
    assert link["url"] == f"${{{gateway['name']}}}/dashboard"
    assert gateway["query"] == gateway["current"]["value"] == "http://localhost:8080"


def test_the_operations_guide_tells_of_every_alert_and_no_other_what_it_means_and_what_to_do() -> (
    None
):
    guide = (REPOSITORY / "docs" / "operations.md").read_text()
    explained = set()
    for line in re.findall(r"^\| `XStreamer.*$", guide, re.MULTILINE):
        names, means, advice = line.strip("| ").split(" | ")
        assert min(len(means), len(advice)) > 10, line
        explained |= set(re.findall(r"XStreamer\w+", names))
    assert explained == {rule["alert"] for rule in RULES if "alert" in rule}


def test_every_metric_is_in_the_operations_guide() -> None:
    guide = (REPOSITORY / "docs" / "operations.md").read_text()
    ours = {name for name in exported() if name.startswith("xstreamer_")}
    families = {name for name in ours if not name.endswith(("_total", "_bucket"))}
    undocumented = {
        name for name in families if f"`{name}`" not in guide and f"`{name}_total`" not in guide
    }
    assert not undocumented


def test_both_kinds_of_deployment_scrape_the_same_parts() -> None:
    here, containers = (
        {group["labels"]["job"] for group in _provisioned(name)}
        for name in ("targets.yml", "compose-targets.yml")
    )
    shown_a_key = {
        scrape["job_name"]: scrape["authorization"]
        for scrape in _provisioned("compose.yml")["scrape_configs"]
        if "static_configs" in scrape
    }
    assert here == containers | {*shown_a_key}
    assert shown_a_key == {"gateway": {"credentials_file": "keys/gateway.key"}}


def _provisioned(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
