"""`python -m services.bootstrap.npm run check`: npm in the web package."""

import os
import subprocess
import sys
from collections.abc import Sequence

from services.bootstrap import node, web_page
from services.bootstrap.shell import Shell, StepError
from services.bootstrap.workshop import Workshop
from services.paths import REPOSITORY, cache_paths


def main(arguments: Sequence[str]) -> int:
    """Run npm with these arguments; its exit status comes back."""
    cache = cache_paths(os.environ)
    shell = Shell(cache.root / "logs" / "bootstrap", os.environ)
    workshop = Workshop(REPOSITORY, cache, shell, os.environ)
    try:
        workshop.prepare_installer()
        web_page.install_modules(workshop, _say)
        tool = node.find_or_unpack(workshop, web_page.STEP, _say)
    except StepError as error:
        _say(str(error))
        return 1
    return subprocess.run(
        [*tool.npm, *arguments],
        cwd=web_page.sources(REPOSITORY),
        env={**os.environ, **tool.env},
        check=False,
    ).returncode


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
