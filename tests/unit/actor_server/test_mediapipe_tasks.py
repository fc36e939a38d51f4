"""What is left out of an import is nowhere else missed."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from actor_server.portrait.mediapipe_tasks import left_out

pytestmark = pytest.mark.unit

UNLOADED = "colorsys"
"""A small module of the standard library."""


def test_a_module_left_out_is_empty_inside_and_real_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, UNLOADED, raising=False)
    with left_out((UNLOADED,)):
        assert not hasattr(import_module(UNLOADED), "rgb_to_hsv")
    assert import_module(UNLOADED).rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_an_import_that_fails_inside_leaves_nothing_empty_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, UNLOADED, raising=False)
    with pytest.raises(ModuleNotFoundError), left_out((UNLOADED,)):
        import_module("there_is_no_such_module")
    assert import_module(UNLOADED).rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_a_module_that_was_there_before_is_there_inside() -> None:
    with left_out(("json",)):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


def test_the_landmarker_imports_no_matplotlib_and_leaves_the_real_one_to_others() -> None:
    program = (
        "import sys, actor_server.portrait.landmarker, actor_server.portrait.segmentation;"
        "assert not [name for name in sys.modules if name.startswith('matplotlib')];"
        "import matplotlib.pyplot; print(matplotlib.__version__, matplotlib.pyplot.figure)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
