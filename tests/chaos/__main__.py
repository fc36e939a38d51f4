"""`make chaos`: each blow so many times, on one machine that runs on. See --help."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from _pytest.outcomes import Failed
from rich.console import Console

from services.callbench.machine import this_machine
from services.supervisor.supervisor import STEADY_S
from tests.chaos.blows import BLOWS, Blow, Outcome, strike
from tests.chaos.figures import figures, harm, table, write
from tests.conftest import Stack, start_stack, stop_stack

out = Console()
ROUND_S = STEADY_S + 10.0
"""A process that was killed early in a round was up for STEADY_S when the next one's blow comes."""


def main(
    rounds: Annotated[int, typer.Option(help="How often each blow is struck.")] = 20,
    to: Annotated[Path, typer.Option("--out", help="Where the JSON goes.")] = Path("chaos.json"),
    only: Annotated[
        list[str] | None,
        typer.Option(help="Blows by name: actor; repeat it. Others keep the figures they have."),
    ] = None,
    logs: Annotated[Path, typer.Option(help="Where logs go when a call died.")] = Path(
        "build/chaos"
    ),
) -> None:
    """Kill each process during calls, again and again; Ctrl-C keeps what was measured until then.

    Rounds are so far apart that the supervisor restarts at once, without the delay of crash loops.
    Exit status 1 tells that a call died, or lost a question, its face or its record, or that most
    took longer to be well than their goal. A single time beyond it is marked as missed and no more.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
        except KeyboardInterrupt:
            out.print("Ended early.")
        finally:
            stop_stack(stack)
            if any(died.values()):
                shutil.copytree(Path(data) / "logs", logs, dirs_exist_ok=True)
                out.print(f"Logs are in {logs}")
    found = {
        blow.name: figures(outcomes[blow.name], died[blow.name], blow.goal_s)
        | {"machine": asdict(machine)}
        for blow in blows
    }
    write(to, found, beside_others=bool(only))
    out.print(table(found))
    out.print(f"Written to {to}")
    if lost := harm(found):
        out.print(f"Lost: {'; '.join(lost)}", style="red")
        raise typer.Exit(1)


async def _strike_all(
    stack: Stack,
    blows: list[Blow],
    rounds: int,
    outcomes: dict[str, list[Outcome]],
    died: dict[str, int],
) -> None:
    for number in range(rounds):
        begun = time.monotonic()
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
        if number + 1 < rounds:
            await asyncio.sleep(begun + ROUND_S - time.monotonic())


if __name__ == "__main__":
    typer.run(main)
