"""The Helm chart renders what Kubernetes accepts, with settings that the processes know."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.routes import health
from services.bootstrap import helm, livekit_server
from services.paths import REPOSITORY, cache_paths
from services.settings import Settings
from services.supervisor.known_settings import config_class
from services.supervisor.presets import preset_values

pytestmark = pytest.mark.unit

CHART = REPOSITORY / "deploy" / "helm" / "xstreamer"
KUBERNETES = ("1.29", "1.37")
"""The oldest that the chart allows, and a recent one."""
WITHOUT_SCHEMA = {"ScaledObject", "PodMonitor", "PrometheusRule"}
"""Of KEDA and of the Prometheus operator."""
EVERYTHING = {
    "scaling": {"enabled": False},
    "cache": {"claim": "models"},
    "image": {"pullSecrets": [{"name": "registry"}]},
    "gateway": {
        "env": {"XSTREAMER_GATEWAY_LANGUAGE": "en"},
        "ingress": {"enabled": True, "host": "call.example.org", "tlsSecret": "web"},
    },
    "livekit": {"turn": {"domain": "turn.example.org", "tlsSecret": "turn"}},
}
VALUES = {"cpu": [], "gpu": ["-f", str(CHART / "values-gpu.yaml")], "everything": []}
LEAST = "secret=s,monitoring.enabled=true"
"""That must be said."""
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]

Document = dict[str, Any]


def run_helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = helm.find(cache_paths(os.environ), os.environ)
    if program is None:
        pytest.skip("helm is not installed: run `make setup-tests`")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def arguments_of(kind: str, folder: Path) -> list[str]:
    own = folder / "everything.json"
    own.write_text(json.dumps(EVERYTHING))
    chosen = ["-f", str(own)] if kind == "everything" else VALUES[kind]
    return [*chosen, "--set", "secret=xstreamer,monitoring.enabled=true,monitoring.alerts=true"]


def render(*values: str) -> list[Document]:
    done = run_helm("template", "call", str(CHART), "--namespace", "calls", *values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module", params=sorted(VALUES))
def rendered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Document]:
    """What would be installed, for each set of values."""
    return render(*arguments_of(request.param, tmp_path_factory.mktemp("values")))


def pods(rendered: list[Document]) -> dict[str, Document]:
    """The pod template of each part."""
    found = {}
    for document in rendered:
        if document["kind"] == "Deployment":
            template = document["spec"]["template"]
            part = template["metadata"]["labels"]["app.kubernetes.io/component"]
            found[part] = template
    return found


def containers(pod: Document) -> dict[str, Document]:
    """Those that run first, beside and in the middle, by name."""
    spec = pod["spec"]
    return {each["name"]: each for each in [*spec.get("initContainers", []), *spec["containers"]]}


def environment(container: Document) -> dict[str, str]:
    return {each["name"]: each.get("value", "<secret>") for each in container.get("env", [])}


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_helm_finds_nothing_to_complain_about(kind: str, tmp_path: Path) -> None:
    done = run_helm("lint", "--strict", str(CHART), *arguments_of(kind, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ("secret=", "secret: "),
        ("secret=s", "monitoring.enabled=true"),
        (f"{LEAST},livekit.turn.domain=t", "livekit.turn.tlsSecret: "),
        (f"{LEAST},gateway.ingress.enabled=true,gateway.ingress.proxies={{}}", "ingress.proxies: "),
    ],
)
def test_what_must_be_said_is_asked_for_by_name(values: str, named: str) -> None:
    done = run_helm("template", "call", str(CHART), "--set", values)
    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_every_document(rendered: list[Document], version: str) -> None:
    for document in rendered:
        if document["kind"] in WITHOUT_SCHEMA:
            assert document["spec"]
        else:
            kubernetes_validate.validate(document, version, strict=True)


def test_every_variable_is_one_that_the_process_knows(rendered: list[Document]) -> None:
    seen = set()
    for pod in pods(rendered).values():
        for container in containers(pod).values():
            for name in environment(container):
                if name.startswith("XSTREAMER_"):
                    process, _, key = name.removeprefix("XSTREAMER_").partition("_")
                    assert key.lower() in config_class(process.lower()).model_fields, name
                    seen.add(process)
    assert seen == {"THINKER", "ACTOR", "AGENT", "GATEWAY"}


def test_no_container_can_become_more_than_it_needs(rendered: list[Document]) -> None:
    for pod in pods(rendered).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["enableServiceLinks"] is False
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in containers(pod).values():
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"]
            assert not confined["allowPrivilegeEscalation"]
            assert confined["capabilities"] == {"drop": ["ALL"]}


def test_engines_start_before_their_agent_and_end_after_it(rendered: list[Document]) -> None:
    pod = pods(rendered)["agent"]
    sidecars = {
        each["name"]: each
        for each in pod["spec"]["initContainers"]
        if each.get("restartPolicy") == "Always"
    }
    assert set(sidecars) == {"thinker", "actor"}
    (agent,) = pod["spec"]["containers"]
    told = environment(agent)
    for name, engine in sidecars.items():
        bound = environment(engine)[f"XSTREAMER_{name.upper()}_ENDPOINT"]
        assert told[f"XSTREAMER_AGENT_{name.upper()}_ENDPOINT"] == bound
        for probe in ("startupProbe", "livenessProbe"):
            assert engine[probe]["exec"]["command"][-1] == bound


def test_a_pod_waits_for_the_longest_call(rendered: list[Document]) -> None:
    parts = pods(rendered)
    drain_s = environment(containers(parts["agent"])["agent"])["XSTREAMER_AGENT_DRAIN_TIMEOUT_S"]
    gateway = environment(containers(parts["gateway"])["gateway"])
    assert drain_s == gateway["XSTREAMER_GATEWAY_ROOM_TTL_S"]
    for part in ("agent", "livekit"):
        assert parts[part]["spec"]["terminationGracePeriodSeconds"] > int(drain_s)


def test_services_policies_and_budgets_point_at_pods_and_ports_that_exist(
    rendered: list[Document],
) -> None:
    parts = pods(rendered)
    names = {document["metadata"]["name"] for document in rendered if document["kind"] == "Service"}
    for document in rendered:
        spec = document["spec"]
        labels = spec.get("podSelector", spec.get("selector", {}))
        labels = labels.get("matchLabels", labels) if isinstance(labels, dict) else {}
        if not (part := labels.get("app.kubernetes.io/component")):
            continue
        assert labels.items() <= parts[part]["metadata"]["labels"].items()
        open_ports = {
            port["name"]
            for container in containers(parts[part]).values()
            for port in container.get("ports", [])
        }
        asked = [port["targetPort"] for port in spec.get("ports", [])]
        asked += [port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]]
        asked += [endpoint["port"] for endpoint in spec.get("podMetricsEndpoints", [])]
        assert set(asked) <= open_ports
    text = json.dumps(rendered)
    assert set(re.findall(r"(?:ws|http)://(call-\w+):", text)) <= names
    assert "call-redis" in names


def test_the_gateway_is_asked_at_a_route_that_it_has(rendered: list[Document]) -> None:
    gateway = containers(pods(rendered)["gateway"])["gateway"]
    routes = {getattr(route, "path", "") for route in health.router.routes}
    assert gateway["livenessProbe"]["httpGet"]["path"] in routes


def test_no_call_is_cut_because_something_beside_it_fails(rendered: list[Document]) -> None:
    gateway = containers(pods(rendered)["gateway"])["gateway"]
    (port,) = gateway["ports"]
    assert gateway["readinessProbe"]["tcpSocket"] == {"port": port["name"]}


def test_cluster_compose_and_bootstrap_take_the_same_versions(rendered: list[Document]) -> None:
    parts = pods(rendered)
    for part in ("livekit", "redis"):
        assert containers(parts[part])[part]["image"] == COMPOSE[part]["image"]
    assert containers(parts["gateway"])["gateway"]["image"] == COMPOSE["gateway"]["image"]


def test_livekit_understands_its_configuration(rendered: list[Document]) -> None:
    program = livekit_server.find(cache_paths(os.environ), os.environ)
    if program is None:
        pytest.skip("LiveKit server is not built: run `make setup`")
    livekit = containers(pods(rendered)["livekit"])["livekit"]
    config = environment(livekit)["LIVEKIT_CONFIG"].replace("$(NODE_IP)", "10.0.0.1")
    done = subprocess.run(
        [program, "ports"],
        env={"LIVEKIT_CONFIG": config},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listening = {int(port) for port in re.findall(r"(\d{4,5})\)? -", done.stdout)}
    declared = {port["containerPort"] for port in livekit["ports"]}
    assert listening <= declared
    assert declared - listening <= {6789}


def seen_by_the_gateway(proxies: str, address: str) -> tuple[str, str]:
    """Scheme and caller of a request that came from `address` and says it was forwarded."""
    said = [(b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"203.0.113.9")]
    scope: Any = {"type": "http", "scheme": "http", "client": (address, 40000), "headers": said}

    async def app(*_: Any) -> None: ...

    asyncio.run(ProxyHeadersMiddleware(app, proxies)(scope, Any, Any))
    return scope["scheme"], scope["client"][0]


def test_behind_the_ingress_pages_signal_by_wss_and_callers_are_told_apart(tmp_path: Path) -> None:
    gateway = pods(render(*arguments_of("everything", tmp_path)))["gateway"]
    told = environment(containers(gateway)["gateway"])
    assert told["XSTREAMER_GATEWAY_LIVEKIT_PUBLIC_URL"] == "wss://call.example.org/livekit"
    proxies = told["FORWARDED_ALLOW_IPS"]
    assert seen_by_the_gateway(proxies, "10.244.1.7") == ("https", "203.0.113.9")
    assert seen_by_the_gateway(proxies, "198.51.100.4") == ("http", "198.51.100.4")


def test_without_the_ingress_nobody_is_believed_to_be_one(tmp_path: Path) -> None:
    gateway = pods(render(*arguments_of("cpu", tmp_path)))["gateway"]
    told = environment(containers(gateway)["gateway"])
    assert not {"FORWARDED_ALLOW_IPS", "XSTREAMER_GATEWAY_LIVEKIT_PUBLIC_URL"} & {*told}


def test_pods_start_before_every_place_is_taken(rendered: list[Document]) -> None:
    agent = containers(pods(rendered)["agent"])["agent"]
    places = int(environment(agent)["XSTREAMER_AGENT_MAX_CALLS"])
    for document in rendered:
        if document["kind"] == "ScaledObject":
            (trigger,) = document["spec"]["triggers"]
            assert 0 < float(trigger["metadata"]["threshold"]) < places
            query = trigger["metadata"]["query"]
            assert 'xstreamer_agent_calls{namespace="calls"}' in query
            assert 'xstreamer_gateway_queue_length{namespace="calls"}' in query
            assert document["spec"]["scaleTargetRef"]["name"] == "call-agent"


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ("monitoring.enabled=true", "http://prometheus-operated.monitoring:9090"),
        (
            "monitoring.enabled=true,monitoring.namespace=watch",
            "http://prometheus-operated.watch:9090",
        ),
        ("scaling.prometheus=http://own:9090", "http://own:9090"),
    ],
)
def test_keda_asks_a_prometheus_that_somebody_named(values: str, address: str) -> None:
    rendered = render("--set", f"secret=s,{values}")
    (scaled,) = [document for document in rendered if document["kind"] == "ScaledObject"]
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["serverAddress"] == address


@pytest.mark.parametrize(
    ("values", "key"), [("", "admin-key"), (",monitoring.gatewayKey=metrics-key", "metrics-key")]
)
def test_prometheus_shows_the_gateway_a_key_and_nobody_else(values: str, key: str) -> None:
    rendered = render("--set", f"{LEAST}{values}")
    shown = {
        (document["metadata"]["name"], endpoint["port"]): endpoint.get("authorization")
        for document in rendered
        if document["kind"] == "PodMonitor"
        for endpoint in document["spec"]["podMetricsEndpoints"]
    }
    credentials = {"name": "s", "key": key}
    assert shown.pop(("call-gateway", "http")) == {"type": "Bearer", "credentials": credentials}
    assert len(shown) == 4
    assert not any(shown.values())
    settings = containers(pods(rendered)["gateway"])["gateway"]["env"]
    (taken,) = [each for each in settings if each["name"] == "XSTREAMER_GATEWAY_ADMIN_KEY"]
    assert taken["valueFrom"]["secretKeyRef"] == credentials | {"key": "admin-key"}


def test_alerts_are_those_of_every_deployment_about_the_parts_of_this_one() -> None:
    rendered = render("--set", f"{LEAST},monitoring.alerts=true,monitoring.labels.release=prom")
    kinds = ("PrometheusRule", "PodMonitor")
    ours = [document for document in rendered if document["kind"] in kinds]
    assert {document["metadata"]["labels"]["release"] for document in ours} == {"prom"}
    (rules,) = [document for document in ours if document["kind"] == "PrometheusRule"]
    wanted = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "rules.yml").read_text())
    (down,) = [
        rule
        for group in wanted["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "XStreamerPartDown"
    ]
    down["expr"] = 'up{job=~"calls/call-agent|calls/call-gateway|calls/call-livekit"} < 1'
    assert rules["spec"] == wanted
    monitored = {f"calls/{each['metadata']['name']}" for each in ours if each is not rules}
    assert monitored == set(re.findall(r"calls/[\w-]+", down["expr"]))


@pytest.mark.parametrize("values", [LEAST, "secret=s,scaling.enabled=false,monitoring.alerts=true"])
def test_without_the_operator_or_the_wish_there_are_no_alerts(values: str) -> None:
    assert not [one for one in render("--set", values) if one["kind"] == "PrometheusRule"]


def test_the_gateway_hears_of_every_pod_and_till_then_counts_on_those_that_always_run(
    rendered: list[Document],
) -> None:
    parts = pods(rendered)
    agent = environment(containers(parts["agent"])["agent"])
    gateway = environment(containers(parts["gateway"])["gateway"])
    assert agent["XSTREAMER_AGENT_GATEWAY_URL"] == gateway["XSTREAMER_GATEWAY_INTERNAL_URL"]
    specs = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in rendered}
    if scaled := specs.get(("ScaledObject", "call-agent")):
        always = scaled["minReplicaCount"]
    else:
        always = specs["Deployment", "call-agent"]["replicas"]
    assert gateway["XSTREAMER_GATEWAY_WORKERS"] == str(always)


@pytest.mark.parametrize(
    ("values", "said"),
    [("", True), (",agent.secretEnv.XSTREAMER_AGENT_PROVENANCE_KEY=provenance-key", False)],
)
def test_who_installs_is_told_when_streams_are_not_signed(values: str, said: bool) -> None:
    install = ["install", "call", str(CHART), "--dry-run=client", "--set", f"{LEAST}{values}"]
    done = run_helm(*install)
    assert done.returncode == 0, done.stderr
    assert "Browsers must reach" in done.stdout
    assert ("not signed as synthetic" in done.stdout) is said


def test_engines_on_gpus_have_a_card_each_and_what_the_preset_tells_them(tmp_path: Path) -> None:
    engines = containers(pods(render(*arguments_of("gpu", tmp_path)))["agent"])
    settings = Settings(preset="glm4voice", cache=Path("/cache"))
    for engine, values in preset_values(settings).items():
        told = environment(engines[engine])
        for key, value in values.items():
            assert told[f"XSTREAMER_{engine}_{key}".upper()] == str(value)
        assert engines[engine]["resources"]["limits"]["nvidia.com/gpu"] == 1
