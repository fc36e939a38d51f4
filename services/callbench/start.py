"""How long a start takes with everything installed: python -m services.callbench.start --help."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.callbench.machine import this_machine
from services.callbench.own_stack import StackFailed, own_stack

GOAL_S = 20.0
out = Console()


def main(
    starts: Annotated[int, typer.Option(help="How often to start.")] = 3,
    preset: Annotated[str, typer.Option(help="Preset of the machine to start.")] = "nano",
    to: Annotated[Path, typer.Option("--out", help="Where the JSON goes.")] = Path("start.json"),
) -> None:
    """Start everything, wait until all is ready, look at the memory, stop; again and again."""
    machine = this_machine()
    seconds, sizes = [], {}
    try:
        for _ in range(starts):
            before_s = time.monotonic()
            with own_stack(preset) as stack:
                seconds.append(time.monotonic() - before_s)
                sizes = _memory_mb(stack.environment)
    except StackFailed as problem:
        out.print(str(problem), style="red", markup=False)
        raise typer.Exit(1) from problem
    figures = {
        "ready_s": [round(value, 2) for value in seconds],
        "ready_s_median": round(median(seconds), 2),
        "goal_s": GOAL_S,
        "idle_pss_mb": sizes,
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({"machine": asdict(machine), "figures": figures}, indent=2) + "\n")
    table = Table("figure", "measured", "goal", title="A start with everything installed")
    table.add_row("start to ready, median", f"{median(seconds):.1f} s", f"<= {GOAL_S:.0f} s")
    table.add_row("start to ready, slowest", f"{max(seconds):.1f} s", "")
    for name, size in sizes.items():
        table.add_row(f"memory of {name} (PSS), no call", f"{size} MB", "")
    out.print(table)
    out.print(f"Written to {to}")


def _memory_mb(environment: dict[str, str]) -> dict[str, int]:
    """Of each process with everything below it, as `xstreamer status` counts it, and the sum."""
    command = [sys.executable, "-m", "services.cli", "status", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    sizes = {**told["pss_bytes"], "all together": told["pss_bytes_total"]}
    return {name: round(size / 1e6) for name, size in sizes.items()}


if __name__ == "__main__":
    typer.run(main)
