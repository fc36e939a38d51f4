"""Measure real calls: python -m services.callbench --help."""

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import soundfile
import typer
from rich.console import Console

from services.callbench.bench import BenchPlan, BenchResult, run_bench
from services.callbench.caller import BrowserMissing
from services.callbench.compare import BaselineUnusable, compare, compare_table, read_baseline
from services.callbench.config import CallbenchConfig
from services.callbench.machine import this_machine
from services.callbench.own_stack import StackFailed, own_stack
from services.callbench.parallel import parallel_table
from services.callbench.report import portrait_table, report, table
from services.callbench.stages import stage_figures, stage_table

out = Console()


def main(
    url: Annotated[str, typer.Option(help="A running machine; else one is started.")] = "",
    avatar: Annotated[
        list[str] | None, typer.Option(help="Whom to call (mara); again for more portraits.")
    ] = None,
    turns: Annotated[int, typer.Option(help="Questions to ask.")] = 6,
    barge_ins: Annotated[int, typer.Option(help="Answers to speak into.")] = 5,
    hesitations: Annotated[int, typer.Option(help="Questions with a pause inside.")] = 4,
    parallel: Annotated[
        list[int] | None, typer.Option(help="Also so many calls at once; again for more.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset of the machine to start.")] = "nano",
    to: Annotated[Path, typer.Option("--out", help="Where the JSON goes.")] = Path("call.json"),
    baseline: Annotated[
        Path | None, typer.Option("--compare", help="JSON of an earlier benchmark.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep sound and pictures here.")] = None,
) -> None:
    """Call an avatar with headless Chromium and measure what the caller gets."""
    machine = this_machine()
    try:
        before = read_baseline(baseline) if baseline else None
        with own_stack(preset) if not url else nullcontext() as stack:
            plan = BenchPlan(
                stack.url if stack else url,
                tuple(avatar or ["mara"]),
                turns,
                barge_ins,
                hesitations,
                parallel=tuple(parallel or []),
            )
            result = asyncio.run(run_bench(plan, CallbenchConfig(), out.print))
    except (BaselineUnusable, BrowserMissing, StackFailed) as problem:
        out.print(str(problem), style="red", markup=False)
        raise typer.Exit(1) from problem
    to.parent.mkdir(parents=True, exist_ok=True)
    whole = report(machine, plan, result)
    to.write_text(json.dumps(whole, indent=2) + "\n")
    if keep is not None:
        _keep(result, keep)
    out.print(table(result))
    out.print(stage_table(stage_figures(result.traces)))
    if len(result.portraits) > 1:
        out.print(portrait_table(result.portraits))
    if result.parallel:
        out.print(parallel_table(result.parallel))
    if before is not None:
        out.print(compare_table(compare(before, whole)))
    out.print(f"Written to {to}")


def _keep(result: BenchResult, folder: Path) -> None:
    """Write what the caller heard and saw, for ears and eyes."""
    folder.mkdir(parents=True, exist_ok=True)
    sound = result.recording.sound
    soundfile.write(folder / "heard.wav", sound.samples, sound.sample_hz)
    for name, png in result.pictures.items():
        (folder / f"{name}.png").write_bytes(png)


if __name__ == "__main__":
    typer.run(main)
