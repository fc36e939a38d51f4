"""What bad networks cost: python -m tests.integration.network OUT [SCENARIO...]."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from services.callbench.machine import this_machine
from tests.integration.network.judgement import (
    CRASHES,
    captions_complete,
    complaints,
    play_scenarios,
)
from tests.integration.network.relay import why_not
from tests.integration.network.scenarios import SCENARIOS

COLUMNS = (
    "captions_complete",
    "recovered_s",
    "fps_during",
    "fps_after",
    "offset_ms_p95_during",
    "offset_ms_p95_after",
    "longest_gap_s_during",
    "concealed_percent",
)


def main(out: str, *names: str) -> int:
    """Play, write, show; 1 when a caller would complain."""
    console = Console()
    if reason := why_not():
        console.print(reason, style="red", markup=False)
        return 1
    machine = asdict(this_machine())
    played = play_scenarios(*(names or SCENARIOS))
    figures = {
        name: figure(name, seen) | {"machine": machine}
        for name, seen in played["scenarios"].items()
    }
    crashes = [word for word in CRASHES if word in played["worker_log"]]
    # Those that were not played now keep the figures they have.
    others = json.loads(Path(out).read_text())["scenarios"] if names and Path(out).exists() else {}
    report = {"scenarios": others | figures, "crashes_in_agent_log": crashes}
    Path(out).write_text(json.dumps(report, indent=2) + "\n")
    console.print(table(figures))
    console.print(f"Written to {out}")
    return int(bool(crashes) or any(row["complaints"] for row in figures.values()))


def figure(name: str, seen: dict[str, Any]) -> dict[str, Any]:
    """One scenario's row."""
    about = {"about": SCENARIOS[name].about, "complaints": complaints(name, seen)}
    if "failed" in seen:
        return about
    questions = SCENARIOS[name].questions
    during, after = seen["during"], seen["after"]
    return about | {
        "captions_complete": captions_complete(seen["captions"], questions),
        "recovered_s": seen.get("recovered_s"),
        **{f"{key}_during": value for key, value in during.items()},
        **{f"{key}_after": value for key, value in after.items()},
        "concealed_percent": seen["concealed_percent"],
        **seen["network"],
    }


def table(figures: dict[str, Any]) -> Table:
    """For people."""
    shown = Table("scenario", *COLUMNS, "complaints")
    for name, row in figures.items():
        cells = [str(row.get(column, "")) for column in COLUMNS]
        shown.add_row(name, *cells, "\n".join(row["complaints"]) or "none")
    return shown


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
