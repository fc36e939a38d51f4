"""Debian packages: installed when we may, otherwise named in one command."""

import os
import shutil

from services.bootstrap.machine import apt_command, missing_libraries, missing_test_programs
from services.bootstrap.shell import StepError, Watch
from services.bootstrap.workshop import Workshop

STEP = "system"


def install(workshop: Workshop, watch: Watch) -> str:
    """What a call needs: the graphics libraries that mediapipe links to."""
    return _install(workshop, watch, missing_libraries())


def install_with_tests(workshop: Workshop, watch: Watch) -> str:
    """What the tests need on top: a browser, databases, a judge of metrics."""
    return _install(workshop, watch, [*missing_libraries(), *missing_test_programs()])


def _install(workshop: Workshop, watch: Watch, packages: list[str]) -> str:
    if not packages:
        return "nothing missing"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StepError(
            f"this machine lacks {', '.join(packages)}; install them and run this again:\n"
            f"    {apt_command(packages)}"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    workshop.shell.run(STEP, ["apt-get", "update", "-q"], watch, env=quiet)
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    workshop.shell.run(STEP, command, watch, env=quiet)
    return f"installed {', '.join(packages)}"
