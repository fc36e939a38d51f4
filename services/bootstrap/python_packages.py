"""The product's Python environment, exactly as uv.lock says."""

import sys

from services.bootstrap.shell import Watch
from services.bootstrap.workshop import Workshop, fingerprint

STEP = "packages"
STAMP = "xstreamer-lock.sha256"


def install(workshop: Workshop, watch: Watch) -> str:
    """`uv sync --locked` into .venv, skipped while the lock has not changed.

    Bytecode is made here: where Python may not write it later, every start of every process would
    compile thousands of files again.
    """
    repository = workshop.repository
    environment = repository / ".venv"
    stamp = environment / STAMP
    inputs = [repository / "uv.lock", repository / "pyproject.toml"]
    wanted = f"{fingerprint(inputs, repository)} {sys.version_info[:2]} bytecode"
    if stamp.is_file() and stamp.read_text() == wanted:
        return "up to date"
    base_python = getattr(sys, "_base_executable", sys.executable)
    uv = workshop.installer / "bin" / "uv"
    command = [uv, "sync", "--locked", "--compile-bytecode", "--python", base_python]
    own = {"UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(environment)}
    workshop.shell.run(STEP, [*command, "--no-progress"], watch, cwd=repository, env=own)
    stamp.write_text(wanted)
    return "installed"
