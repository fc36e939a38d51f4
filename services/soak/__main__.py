"""A call of hours: python -m services.soak --help."""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.callbench.caller import BrowserMissing
from services.callbench.machine import this_machine
from services.callbench.own_stack import StackFailed, own_stack
from services.paths import cache_paths
from services.soak.call import FRAMES, SAMPLES, CallNotMade, SoakPlan, clear, soak
from services.soak.findings import findings
from services.soak.page import html
from services.soak.report import as_json, report, table
from services.soak.samples import SamplesUnusable, read

LOGS = "logs"
GOAL_MISSED = 3

out = Console()


def main(
    hours: Annotated[float, typer.Option(help="How long to call.", min=0.01)] = 1.0,
    avatar: Annotated[str, typer.Option(help="Whom to call.")] = "mara",
    preset: Annotated[str, typer.Option(help="Preset of the machine to start.")] = "nano",
    to: Annotated[Path, typer.Option("--out", help="Where the JSON goes.")] = Path("soak.json"),
    folder: Annotated[Path, typer.Option(help="Samples, frames, logs and report.html.")] = Path(
        "build/soak"
    ),
    again: Annotated[bool, typer.Option("--report-only", help="Of the samples there.")] = False,
) -> None:
    """Start a machine of its own, call it without a break, and say what grew, drifted or broke.

    Ctrl-C ends the call early and reports what was measured. Exit status 3 tells that a goal was
    missed.
    """
    # Also while the machine starts and stops, when no event loop listens.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not again:
            _call(SoakPlan(hours, avatar, preset, folder, cache_paths(os.environ).assets))
    except (BrowserMissing, StackFailed, CallNotMade, FileNotFoundError) as problem:
        out.print(str(problem), style="red", markup=False)
        raise typer.Exit(1) from problem
    finally:
        # Whatever ended the call, what was sampled is reported.
        missed = _report(folder, to)
    if missed:
        out.print(f"Missed: {'; '.join(missed)}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(GOAL_MISSED)


def _call(plan: SoakPlan) -> None:
    clear(plan.folder)
    machine = this_machine()
    with own_stack(plan.preset) as stack:
        try:
            asyncio.run(soak(plan, machine, stack, _say))
        finally:
            logs = Path(stack.environment["XSTREAMER_DATA"]) / "logs"
            shutil.copytree(logs, plan.folder / LOGS, dirs_exist_ok=True)


def _say(text: str) -> None:
    out.print(text, soft_wrap=True, highlight=False, markup=False)


def _report(folder: Path, to: Path) -> list[str]:
    """Print, write the JSON and the page; the figures that missed their goals.

    Says so where there is nothing to report.
    """
    try:
        whole = read(folder / SAMPLES)
        found = findings(whole)
    except SamplesUnusable as problem:
        out.print(f"Nothing to report: {problem}", style="red", markup=False)
        return []
    out.print(table(whole, found))
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(as_json(report(whole, found)) + "\n")
    page = folder / "report.html"
    page.write_text(html(whole, found, folder / FRAMES))
    out.print(f"The call: {whole.end}. Written to {to}; curves in {page}", soft_wrap=True)
    return [one.label for one in found if one.verdict == "missed"]


if __name__ == "__main__":
    typer.run(main)
