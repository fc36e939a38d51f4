"""The set-up command: independent steps side by side, each skipped when its result is there."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from services.bootstrap import (
    asset_files,
    helm,
    livekit_server,
    python_packages,
    system_packages,
    web_page,
)
from services.bootstrap.board import Board
from services.bootstrap.machine import all_problems, disk_problems
from services.bootstrap.shell import Shell, StepError, Watch
from services.bootstrap.workshop import Workshop
from services.paths import REPOSITORY, cache_paths

QUIET_BELOW_S = 10.0

Step = Callable[[Workshop, Watch], str]

CALL_STEPS: dict[str, Step] = {
    system_packages.STEP: system_packages.install,
    python_packages.STEP: python_packages.install,
    livekit_server.STEP: livekit_server.install,
    web_page.STEP: web_page.install,
    asset_files.STEP: asset_files.install,
}
TEST_STEPS = CALL_STEPS | {
    system_packages.STEP: system_packages.install_with_tests,
    asset_files.STEP: asset_files.install_with_tests,
    helm.STEP: helm.install,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Set the machine up; 0 when everything is there."""
    parser = argparse.ArgumentParser(prog="bootstrap", description=__doc__)
    parser.add_argument("--with-tests", action="store_true", help="also what `make test` needs")
    parser.add_argument("--only", nargs="*", metavar="STEP", help="only these steps")
    options = parser.parse_args(arguments)
    steps = TEST_STEPS if options.with_tests else CALL_STEPS
    if options.only is not None:
        if unknown := set(options.only) - set(steps):
            parser.error(f"no such step: {', '.join(unknown)}; there are {', '.join(steps)}")
        steps = {name: steps[name] for name in options.only}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    problems = all_problems()
    if not (REPOSITORY / ".venv").is_dir():
        problems += disk_problems(str(REPOSITORY))
    if problems:
        _say("\n".join(map(str, problems)))
        return 1
    return _set_up(steps)


def _set_up(steps: dict[str, Step]) -> int:
    started = time.monotonic()
    cache = cache_paths(os.environ)
    shell = Shell(cache.root / "logs" / "bootstrap", os.environ)
    workshop = Workshop(REPOSITORY, cache, shell, os.environ)
    try:
        workshop.prepare_installer()
        failures = _side_by_side(workshop, steps)
    except StepError as error:
        failures = {"installer": error}
    except KeyboardInterrupt:
        shell.stop()
        _say("stopped; what is done stays done: the next start goes on from here")
        return 130
    for name, failure in failures.items():
        _say(f"\n{name}: {failure}")
    if failures:
        _say("\nThe set-up is not complete. Repair the above and run the same command again.")
        return 1
    if (elapsed := time.monotonic() - started) > QUIET_BELOW_S:
        _say(f"set up in {elapsed:.0f} s")
    return 0


def _side_by_side(workshop: Workshop, steps: dict[str, Step]) -> dict[str, StepError]:
    """Run every step in a thread of its own; the failed ones come back."""
    if not steps:
        return {}
    with Board(list(steps)) as board, ThreadPoolExecutor(len(steps)) as pool:
        futures = {
            name: pool.submit(_run_step, name, step, workshop, board)
            for name, step in steps.items()
        }
        try:
            wait(futures.values())
        except KeyboardInterrupt:
            workshop.shell.stop()
            raise
        return {name: error for name, future in futures.items() if (error := _failure(future))}


def _run_step(name: str, step: Step, workshop: Workshop, board: Board) -> None:
    board.started(name)
    try:
        result = step(workshop, partial(board.report, name))
    except (StepError, OSError) as error:
        board.ended(name, str(error).splitlines()[0], ok=False)
        raise StepError(str(error)) from error
    board.ended(name, result, ok=True)


def _failure(future: "Future[None]") -> StepError | None:
    error = future.exception()
    if error is not None and not isinstance(error, StepError):
        raise error
    return error


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
