"""A machine of its own: other tests count restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Stack, start_stack, stop_stack


@pytest.fixture(scope="module")
def restarted_stack(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its processes are killed and come back; no log tells a secret even so."""
    running = start_stack(tmp_path_factory.mktemp("chaos"))
    try:
        yield running
    finally:
        stop_stack(running)
    assert running.leaks() == []
