"""What every benchmark says of itself: the machine and the code that its figures are of."""

import platform
import subprocess
from pathlib import Path


def machine() -> dict[str, str]:
    """Processor, Python and system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "?")
    return {"cpu": model, "python": platform.python_version(), "system": platform.platform()}


def commit() -> str:
    """The checked-out commit, or "unknown" outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
