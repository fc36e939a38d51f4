"""`make chaos`: each blow so many times, on one machine that runs on. See --help."""

import asyncio
import json
import shutil
import tempfile
from collections import defaultdict
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from _pytest.outcomes import Failed
from rich.console import Console
from rich.table import Table

from services.callbench.machine import this_machine
from tests.chaos.blows import BLOWS, Blow, Outcome, strike
from tests.conftest import Stack, start_stack, stop_stack

out = Console()


def main(
    rounds: Annotated[int, typer.Option(help="How often each blow is struck.")] = 20,
    to: Annotated[Path, typer.Option("--out", help="Where the JSON goes.")] = Path("chaos.json"),
    only: Annotated[list[str] | None, typer.Option(help="Blows by name: actor; repeat it.")] = None,
    logs: Annotated[Path, typer.Option(help="Where logs go when a call died.")] = Path(
        "build/chaos"
    ),
) -> None:
    """Kill each process during calls, again and again; the exit status tells of calls that died."""
    blows = [blow for blow in BLOWS if not only or blow.name in only]
    if not blows:
        raise typer.BadParameter(f"there are {', '.join(blow.name for blow in BLOWS)}")
    machine = this_machine()
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    died: dict[str, int] = defaultdict(int)
    with tempfile.TemporaryDirectory(prefix="xstreamer-chaos-") as data:
        stack = start_stack(Path(data))
        try:
            asyncio.run(_strike_all(stack, blows, rounds, outcomes, died))
        finally:
            stop_stack(stack)
            if any(died.values()):
                shutil.copytree(Path(data) / "logs", logs, dirs_exist_ok=True)
                out.print(f"Logs are in {logs}")
    figures = {blow.name: _figures(outcomes[blow.name], died[blow.name]) for blow in blows}
    for blow in blows:
        figures[blow.name]["goal_s"] = blow.goal_s
    to.parent.mkdir(parents=True, exist_ok=True)
    whole = {"machine": asdict(machine), "rounds": rounds, "figures": figures}
    to.write_text(json.dumps(whole, indent=2) + "\n")
    _show(figures)
    out.print(f"Written to {to}")
    if any(died.values()):
        raise typer.Exit(1)


async def _strike_all(
    stack: Stack,
    blows: list[Blow],
    rounds: int,
    outcomes: dict[str, list[Outcome]],
    died: dict[str, int],
) -> None:
    for number in range(rounds):
        for blow in blows:
            try:
                outcome = await strike(stack, blow)
            except Failed as failure:
                died[blow.name] += 1
                told = f"{datetime.now():%H:%M:%S} {failure}"
                out.print(f"{number + 1:3} {blow.name}: {told}", style="red", markup=False)
                continue
            outcomes[blow.name].append(outcome)
            told = f"back {outcome.back_s:.2f} s, frozen {outcome.frozen_s:.2f} s"
            out.print(f"{number + 1:3} {blow.name}: {told}", highlight=False)


def _figures(outcomes: list[Outcome], died: int) -> dict[str, Any]:
    back = sorted(outcome.back_s for outcome in outcomes)
    frozen = sorted(outcome.frozen_s for outcome in outcomes)
    return {
        "survived": len(outcomes),
        "died": died,
        "answered_or_apologised": sum(outcome.answered for outcome in outcomes),
        "went_on": sum(outcome.went_on for outcome in outcomes),
        "back_s": [round(value, 2) for value in back],
        "back_s_median": round(median(back), 2) if back else None,
        "frozen_s": [round(value, 2) for value in frozen],
        "frozen_s_median": round(median(frozen), 2) if frozen else None,
    }


def _show(figures: dict[str, dict[str, Any]]) -> None:
    table = Table("killed", "survived", "all well after", "slowest", "goal", "picture stood")
    for name, found in figures.items():
        goal = found["goal_s"]
        back = found["back_s"]
        table.add_row(
            name,
            f"{found['survived']} of {found['survived'] + found['died']}",
            f"{found['back_s_median']} s",
            f"{back[-1]} s" if back else "",
            f"<= {goal} s" if goal else "",
            f"{found['frozen_s_median']} s",
        )
    out.print(table)


if __name__ == "__main__":
    typer.run(main)
