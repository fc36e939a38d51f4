"""Fixtures of the Actor's tests: the shipped portraits as intake, mesh and decoder see them."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.portrait.intake import PortraitIntake

torch.set_num_threads(1)  # as the Actor's process does; small models only wait for more

DEFAULT_AVATARS = ("mara", "daniel", "priya", "kenji", "imani", "tomas", "ingrid")


def default_picture(name: str) -> bytes:
    """Return the file of a shipped portrait."""
    return (files("gateway") / "data" / "portraits" / f"{name}.jpg").read_bytes()


@pytest.fixture(scope="session")
def intake(assets_dir: Path) -> Iterator[PortraitIntake]:
    intake = PortraitIntake.from_assets(assets_dir)
    yield intake
    intake.close()


@pytest.fixture(scope="session")
def prepared(intake: PortraitIntake) -> PreparedPortrait:
    """The portrait most tests look at."""
    return intake.prepare(default_picture("daniel"))


@pytest.fixture(scope="session")
def portrait(prepared: PreparedPortrait) -> MeshPortrait:
    return MeshPortrait.build(prepared)


@pytest.fixture(scope="session")
def decoder(portrait: MeshPortrait) -> MeshDecoder:
    return MeshDecoder(portrait)
