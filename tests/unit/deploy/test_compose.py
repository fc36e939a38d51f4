"""docker-compose.yml starts processes that exist with settings that they know, safely."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml

from services.bootstrap import livekit_server, workshop
from services.paths import REPOSITORY, cache_paths
from services.settings import Settings
from services.supervisor.known_settings import config_class
from services.supervisor.presets import preset_values

pytestmark = pytest.mark.unit

COMPOSE_TEXT = (REPOSITORY / "docker-compose.yml").read_text()
PAPER_TEXT = (REPOSITORY / "deploy" / "glm4voice-18b.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
UVICORNS = {"FORWARDED_ALLOW_IPS"}
"""Variables that the server under the gateway reads itself."""
COMPOSES = {"COMPOSE_PROFILES"}
"""Variables that compose reads itself."""


@pytest.mark.parametrize("name", OURS)
def test_every_service_runs_a_command_that_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    lines = command[2].split(" && ") if command[0] == "sh" else [" ".join(command)]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for line in lines:
        program, *arguments = line.split()
        if program == "python":
            assert importlib.util.find_spec(f"{arguments[1]}.__main__") is not None
        else:
            assert program in project["scripts"]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_the_process_knows(name: str) -> None:
    for variable in {*SERVICES[name].get("environment", {})} - UVICORNS:
        process, _, key = variable.removeprefix("XSTREAMER_").partition("_")
        assert key.lower() in config_class(process.lower()).model_fields, variable


@pytest.mark.parametrize("profile", ["nano", "gpu"])
def test_both_profiles_have_every_process_under_its_name(profile: str) -> None:
    members = {
        name: service for name, service in SERVICES.items() if profile in service["profiles"]
    }
    beside = {"livekit", "redis", "postgres"}
    ours = {"assets", "thinker", "actor", "agent", "gateway"}
    assert {name.removesuffix("-gpu") for name in members} == ours | beside
    for name, service in members.items():
        assert set(service.get("depends_on", {})) <= set(members)
        if name.endswith("-gpu") and not name.startswith("assets"):
            assert service["networks"]["default"]["aliases"] == [name.removesuffix("-gpu")]


def test_engines_on_gpus_have_a_card_each_and_what_the_preset_tells_them() -> None:
    cards = []
    settings = Settings(preset="glm4voice", cache=Path("/cache"))
    for engine, values in preset_values(settings).items():
        service = SERVICES[f"{engine}-gpu"]
        for key, value in values.items():
            variable = f"XSTREAMER_{engine}_{key}".upper()
            assert service["environment"][variable] == str(value)
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        cards += device["device_ids"]
    assert cards == ["${THINKER_GPU:-0}", "${ACTOR_GPU:-1}"]


def test_the_papers_size_changes_what_its_preset_changes() -> None:
    changed = yaml.safe_load(PAPER_TEXT)["services"]
    settings = Settings(preset="glm4voice-18b", cache=Path("/cache"))
    for engine, values in preset_values(settings).items():
        name = f"{engine}-gpu"
        told = {**SERVICES[name]["environment"], **changed[name]["environment"]}
        for key, value in values.items():
            assert told[f"XSTREAMER_{engine}_{key}".upper()] == str(value)
        assert {*changed[name]} == {"environment"}
        for variable in changed[name]["environment"]:
            key = variable.removeprefix(f"XSTREAMER_{engine}_".upper()).lower()
            assert key in values
    assert changed["assets-gpu"]["command"][2].count("--preset glm4voice-18b") == 1


@pytest.mark.parametrize("profile", ["", "-gpu"])
def test_an_agent_takes_no_more_calls_than_its_engines(profile: str) -> None:
    def limit(process: str, key: str) -> int:
        told = SERVICES[f"{process}{profile}"]["environment"]
        default = config_class(process).model_fields[key].default
        return int(told.get(f"XSTREAMER_{process}_{key}".upper(), default))

    calls = limit("agent", "max_calls")
    assert calls <= min(limit("thinker", "max_sessions"), limit("actor", "max_sessions"))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_can_become_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if "grafana" not in service["image"]:  # it keeps its own state beside its programs
        assert service["read_only"]
    if not service["image"].startswith(("grafana/", "prom/")):  # whose images name a user
        assert service["user"] in {"10001:10001", "postgres"}
    assert re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.?\d*(-alpine)?", service["image"])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"assets", "assets-gpu"}))
def test_every_container_says_whether_it_is_well(name: str) -> None:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind in {"CMD", "CMD-SHELL"}
    if command[:3] == ["python", "-m", "services.ready"]:
        settings = SERVICES[name]["environment"]
        endpoints = {value for key, value in settings.items() if key.endswith("_ENDPOINT")}
        paths = {"http://127.0.0.1:8081/", "http://127.0.0.1:8080/readyz"}
        assert command[3] in endpoints | paths


def test_a_stop_waits_for_the_longest_call_and_engines_go_after_their_agent() -> None:
    for agent in ("agent", "agent-gpu"):
        drain_s = int(SERVICES[agent]["environment"]["XSTREAMER_AGENT_DRAIN_TIMEOUT_S"])
        assert drain_s == int(SERVICES["gateway"]["environment"]["XSTREAMER_GATEWAY_ROOM_TTL_S"])
        for name in (agent, "livekit"):
            minutes = int(SERVICES[name]["stop_grace_period"].removesuffix("m"))
            assert minutes * 60 > drain_s
        engines = {name for name in SERVICES[agent]["depends_on"] if name != "livekit"}
        assert {name.removesuffix("-gpu") for name in engines} == {"thinker", "actor"}


def test_no_secret_is_written_down_and_each_missing_one_is_asked_for() -> None:
    example = (REPOSITORY / "deploy" / "env.example").read_text()
    offered = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE_TEXT))
    assert used | COMPOSES == offered
    optional = COMPOSES | {"THINKER_GPU", "ACTOR_GPU", "PROVENANCE_KEY", "PROVENANCE_PUBLIC_KEY"}
    optional |= {"GATEWAY_PORT", *UVICORNS}
    for name in offered - optional:
        assert f"${{{name}:?" in COMPOSE_TEXT
    ignored = (REPOSITORY / ".gitignore").read_text() + (REPOSITORY / ".dockerignore").read_text()
    assert ignored.splitlines().count(".env") == 2


def test_the_gateway_believes_the_proxies_that_env_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in UVICORNS:
        assert SERVICES["gateway"]["environment"][variable] == f"${{{variable}:-}}"
        monkeypatch.setenv(variable, "172.16.0.0/12")
    server = uvicorn.Config("gateway.app:create_app", log_config=None)
    assert server.forwarded_allow_ips == "172.16.0.0/12"


def test_livekit_understands_its_configuration() -> None:
    program = livekit_server.find(cache_paths(os.environ), os.environ)
    if program is None:
        pytest.skip("LiveKit server is not built: run `make setup`")
    config = SERVICES["livekit"]["environment"]["LIVEKIT_CONFIG"]
    config = config.replace("${NODE_IP}", "192.168.1.20").replace("${LIVEKIT_API_KEY}", "key")
    done = subprocess.run(
        [program, "ports"], env={"LIVEKIT_CONFIG": config}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    listening = set(re.findall(r"(\d{4,5})\)? -", done.stdout))
    published = {port.split(":")[0] for port in SERVICES["livekit"]["ports"]}
    assert listening == published | {"7880"}


def test_compose_itself_accepts_the_file() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed: run `make setup-tests`")
    files = ["-f", "docker-compose.yml"]
    paper = [*files, "-f", "deploy/glm4voice-18b.yml"]
    for profile, named in (("nano", files), ("gpu", files), ("metrics", files), ("gpu", paper)):
        command = [program, *named, "--env-file", "deploy/env.example", "--profile", profile]
        secrets = dict.fromkeys(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE_TEXT), "x")
        done = subprocess.run(
            [*command, "config", "--quiet"],
            cwd=REPOSITORY,
            env=secrets,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_without_a_profile_compose_starts_what_runs_on_the_cpu() -> None:
    """docker-compose 1, which tests have, lists services without looking at profiles."""
    example = (REPOSITORY / "deploy" / "env.example").read_text()
    (profile,) = re.findall(r"^COMPOSE_PROFILES=(.*)$", example, re.MULTILINE)
    started = {name for name, service in SERVICES.items() if profile in service["profiles"]}
    assert {"livekit", "gateway", "thinker", "actor", "agent"} <= started
    assert not [name for name in started if "deploy" in SERVICES[name]], "none needs a GPU"
    assert "docker compose up" in COMPOSE_TEXT


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, "--failure-threshold", "info", REPOSITORY / "deploy" / "Dockerfile"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_containers_and_bootstrap_take_the_same_versions() -> None:
    assert SERVICES["livekit"]["image"].endswith(f":v{livekit_server.VERSION}")
    assert workshop.UV in (REPOSITORY / "deploy" / "Dockerfile").read_text()


def test_volumes_that_are_mounted_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (REPOSITORY / source).exists()
