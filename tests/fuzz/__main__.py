"""Every fuzzing target, and its figures as JSON: python -m tests.fuzz --help."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.callbench.machine import this_machine
from services.paths import cache_paths
from tests.fuzz.codec_run import fuzz_codec
from tests.fuzz.figures import Figures
from tests.fuzz.page import fuzz_page
from tests.fuzz.pictures import fuzz_pictures
from tests.fuzz.rest import fuzz_rest

RUNS = {"codec": 1_000_000, "rest": 300, "pictures": 500, "page": 200_000}
TARGETS: dict[str, Callable[[int], Figures]] = {
    "codec": fuzz_codec,
    "rest": fuzz_rest,
    "page": fuzz_page,
    "pictures": lambda count: fuzz_pictures(count, cache_paths(os.environ).assets),
}
out = Console()


def main(
    to: Annotated[Path, typer.Option("--out", help="Where the JSON goes.")] = Path("fuzz.json"),
    target: Annotated[
        list[str] | None, typer.Option(help=f"Only this: {', '.join(TARGETS)}; again for more.")
    ] = None,
    runs: Annotated[int | None, typer.Option(help="Inputs for each target.")] = None,
) -> None:
    """Fuzz; figures of targets that are not run now stay in the file as they were."""
    chosen = target or list(TARGETS)
    if unknown := set(chosen) - set(TARGETS):
        raise typer.BadParameter(f"no such target: {', '.join(sorted(unknown))}")
    report = json.loads(to.read_text()) if to.is_file() else {}
    for name in chosen:
        machine = asdict(this_machine())
        figures = TARGETS[name](runs or RUNS[name])
        out.print(figures)
        report[name] = {"machine": machine, "figures": asdict(figures)}
        to.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    if any(report[name]["figures"]["crashes"] for name in chosen):
        raise typer.Exit(1)


typer.run(main)
