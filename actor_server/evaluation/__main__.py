"""The evaluation of the Actor: does the face follow the voice, and is it alive?

    python -m actor_server.evaluation --data DATASET --out eval-nano.json

The judge is fitted on the dataset's `judge` split; systems perform its `held_out` split under the
stored conditions. Prints tables, writes one JSON object and, with --html, one page. FVD takes
longest: --fvd-windows.
"""

import argparse
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from actor_server.config import ActorConfig
from actor_server.evaluation.html_report import html
from actor_server.evaluation.parts import run
from actor_server.evaluation.report import Evaluation, as_json, tables
from actor_server.motion.choice import SHIPPED_WEIGHTS

TABLE_COLUMNS: Final = 170


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Evaluate the Actor: make eval-nano.")
    parser.add_argument("--data", type=Path, required=True, help="folder with dataset.json")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    shipped = SHIPPED_WEIGHTS if SHIPPED_WEIGHTS.is_file() else None
    parser.add_argument("--weights", type=Path, default=shipped, help="default: the shipped file")
    parser.add_argument("--ablations", type=Path, help="folder of further *.safetensors")
    parser.add_argument("--html", type=Path, help="page to write: tables, curves, contact sheets")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of the same moments")
    parser.add_argument(
        "--portrait-sheets", type=Path, help="folder of `make sheets`, to be part of the page"
    )
    parser.add_argument("--steps", type=int, help="passes per chunk; default: the weights' own")
    parser.add_argument("--window", type=int, help="chunks in flight; default: the weights' own")
    parser.add_argument("--seconds", type=float, default=240, help="of takes per source")
    parser.add_argument(
        "--seen-seconds", type=float, default=60, help="of them drawn and looked at"
    )
    parser.add_argument("--drift-minutes", type=float, default=5, help="0: no long stream")
    parser.add_argument(
        "--fvd-windows", type=int, default=500, help="of 16 frames for each system; 0: no FVD"
    )
    parser.add_argument("--device", default="cpu", help="where the network of FVD computes")
    parser.add_argument(
        "--diversity-seeds", type=int, default=4, help="performances to compare; 0: none"
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="cores to share among the parts",
    )
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    return parser.parse_args()


def main() -> None:
    chosen = options()
    with TemporaryDirectory() as pictures:
        if chosen.html is not None and chosen.sheets is None:
            chosen.sheets = Path(pictures)
        write(run(chosen), chosen)


def write(evaluation: Evaluation, chosen: argparse.Namespace) -> None:
    """Print the tables, write the JSON and, if it is wanted, the page."""
    console = Console(width=max(TABLE_COLUMNS, Console().width))
    for table in tables(evaluation):
        console.print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(as_json(evaluation), indent=1) + "\n")
    if chosen.html is not None:
        chosen.html.parent.mkdir(parents=True, exist_ok=True)
        chosen.html.write_text(html(evaluation, chosen.sheets, chosen.portrait_sheets))


if __name__ == "__main__":
    main()
