"""The command; see the package's first lines, and `docs/models/paper-scale.md`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from actor_server.training.curation.criteria import PRESETS, CriteriaUnusable
from actor_server.training.curation.judges import JudgeTable, ModelsUnusable, read_tables
from actor_server.training.curation.on_ray import OnRay, StepFailed
from actor_server.training.curation.pipeline import FolderUnusable, Plan, StepReport, curate
from actor_server.training.curation.steps import STEPS

CRITERIA = "criteria"


def plan_of(videos: Path, out: Path, purpose: Any, models: Path) -> Plan:
    """What the command line asks for. Raises ModelsUnusable or CriteriaUnusable."""
    tables = read_tables(models)
    names = [step.name for step in STEPS]
    if unknown := tables.keys() - {*names, CRITERIA}:
        raise ModelsUnusable(
            f"{models} has a table [{min(unknown)}]; there are {', '.join([*names, CRITERIA])}"
        )
    if wrong := [name for name, table in tables.items() if not isinstance(table, dict)]:
        raise ModelsUnusable(f"{models}: {wrong[0]} must be a table, [{wrong[0]}]")
    judges = {
        step.name: JudgeTable.read(step.name, step.judge, tables.get(step.name, {}))
        for step in STEPS
    }
    return Plan(videos, out, PRESETS[purpose].changed(tables.get(CRITERIA, {})), judges)


def show(reports: list[StepReport], console: Console) -> None:
    """How many clips fell at each step."""
    table = Table("step", "clips", "rejected", "kept", "hours kept", "")
    for report in reports:
        rejected = report.entered - report.kept
        numbers = (report.entered, rejected, report.kept, f"{report.kept_hours:.2f}")
        note = "" if report.fresh else "done before"
        table.add_row(report.step, *(str(number) for number in numbers), note)
    console.print(table)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when clips are left, 1 when none are or a step failed, 2 for unusable input."""
    parser = argparse.ArgumentParser(
        prog="python -m actor_server.training.curation",
        description="Choose clips of videos for training, and cache what training reads of them.",
    )
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; it resumes")
    parser.add_argument("--for", dest="purpose", choices=PRESETS, required=True)
    parser.add_argument("--models", type=Path, required=True, help="TOML file of judges")
    parser.add_argument("--cpus", type=int, help="of this machine (default: all)")
    parser.add_argument("--address", help="of a Ray cluster (default: this machine alone)")
    options = parser.parse_args(arguments)
    console, reports = Console(), list[StepReport]()
    try:
        plan = plan_of(options.videos, options.out, options.purpose, options.models)
        with OnRay(options.cpus, options.address) as ray:
            reports.extend(curate(plan, ray))
    except (ModelsUnusable, CriteriaUnusable, FolderUnusable) as error:
        print(error, file=sys.stderr)
        return 2
    except StepFailed as error:
        show(reports, console)
        print(f"{error}\nrun the same command again to go on from there", file=sys.stderr)
        return 1
    show(reports, console)
    return 0 if reports[-1].kept else 1


if __name__ == "__main__":
    sys.exit(main())
