"""What the exit status tells of a soak, once its report is written."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from services.soak.__main__ import main
from services.soak.call import COMPLETE, SAMPLES
from services.soak.samples import End, Journal, Soak
from tests.unit.services.soak.scene import soak

pytestmark = pytest.mark.unit


def reported(whole: Soak, folder: Path) -> Result:
    """`--report-only` of a call that was made."""
    journal = Journal(folder / SAMPLES)
    for line in (whole.about, *whole.samples, End(reason=COMPLETE)):
        journal.write(line)
    program = typer.Typer()
    program.command()(main)
    told = CliRunner().invoke(
        program, ["--report-only", "--folder", str(folder), "--out", str(folder / "soak.json")]
    )
    assert (folder / "report.html").is_file()
    assert json.loads((folder / "soak.json").read_text())["end"] == COMPLETE
    return told


def test_goals_that_were_missed_are_named_and_end_it_with_status_3(tmp_path: Path) -> None:
    told = reported(soak(leak_mb=60, fps=20), tmp_path)
    assert told.exit_code == 3
    assert "Missed: frames a second; slope: heap of all processes" in told.output


def test_goals_that_were_met_or_not_decided_end_it_well(tmp_path: Path) -> None:
    told = reported(soak(hours=0.1), tmp_path)
    assert told.exit_code == 0
    assert "Missed" not in told.output
