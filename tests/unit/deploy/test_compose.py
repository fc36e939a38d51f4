"""docker-compose.yml starts processes that exist with settings that they know."""

import importlib.util
import tomllib
from typing import Any

import pytest
import yaml

from services.bootstrap import livekit_server, workshop
from services.paths import REPOSITORY
from services.supervisor.known_settings import config_class

pytestmark = pytest.mark.unit

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)


@pytest.mark.parametrize("name", OURS)
def test_every_service_runs_a_command_that_exists(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    if program == "python":
        assert importlib.util.find_spec(f"{arguments[1]}.__main__") is not None
    else:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        assert program in project["scripts"]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_the_process_knows(name: str) -> None:
    for variable in SERVICES[name].get("environment", {}):
        process, _, key = variable.removeprefix("XSTREAMER_").partition("_")
        assert key.lower() in config_class(process.lower()).model_fields, variable


def test_both_profiles_have_every_process() -> None:
    for profile in ("nano", "gpu"):
        members = {n.removesuffix("-gpu") for n, s in SERVICES.items() if profile in s["profiles"]}
        assert members == {"livekit", "assets", "thinker", "actor", "agent", "gateway"}


def test_containers_and_bootstrap_take_the_same_versions() -> None:
    assert SERVICES["livekit"]["image"].endswith(f":v{livekit_server.VERSION}")
    assert workshop.UV in (REPOSITORY / "deploy" / "Dockerfile").read_text()


def test_volumes_that_are_mounted_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (REPOSITORY / source).exists()
