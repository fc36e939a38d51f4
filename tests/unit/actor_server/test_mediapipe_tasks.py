"""What is left out of an import is nowhere else missed."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from actor_server.portrait.mediapipe_tasks import left_out

pytestmark = pytest.mark.unit

UNTOUCHED = "colorsys"
"""A module of the standard library that nothing here imports."""


def test_a_module_left_out_is_empty_inside_and_real_afterwards() -> None:
    sys.modules.pop(UNTOUCHED, None)
    with left_out((UNTOUCHED,)):
        assert not hasattr(import_module(UNTOUCHED), "rgb_to_hsv")
    assert import_module(UNTOUCHED).rgb_to_hsv(0, 0, 0) == (0, 0, 0)


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
