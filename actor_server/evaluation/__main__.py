"""The evaluation of the Actor: does the face follow the voice, and is it alive?

    python -m actor_server.evaluation --data DATASET --out eval-nano.json

The judge is fitted on the dataset's `judge` split; systems perform its `held_out` split under the
stored conditions. Prints tables, writes one JSON object and, with --html, one page. FVD takes
longest: --fvd-windows.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cv2
from rich.console import Console

from actor_server.config import ActorConfig
from actor_server.evaluation.actor_system import Actor, actors_in
from actor_server.evaluation.audio_lip_judge import COMPONENTS, REACH, SHIFT, AudioLipJudge
from actor_server.evaluation.evaluate import (
    Settings,
    Studio,
    drifts,
    evaluate,
    fit_judge,
    frechets,
    seed_diversities,
)
from actor_server.evaluation.frechet import VideoFeatures
from actor_server.evaluation.html_report import html
from actor_server.evaluation.i3d import I3D
from actor_server.evaluation.rendered import default_avatars
from actor_server.evaluation.report import Evaluation, as_json, tables
from actor_server.evaluation.scoring import STRETCH_FRAMES
from actor_server.evaluation.systems import Endless, Procedural
from actor_server.evaluation.takes import read_takes
from actor_server.measured_on import commit, machine
from actor_server.motion.choice import SHIPPED_WEIGHTS
from actor_server.training.chunk_store import DatasetIndex

AVATARS: Final = ("mara", "daniel")
TABLE_COLUMNS: Final = 170


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="First evaluation of the Actor.")
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
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    return parser.parse_args()


def run(chosen: argparse.Namespace) -> Evaluation:
    """Evaluate what the options name. Raises ValueError for an Actor that sees something else."""
    settings = Settings(
        chosen.seconds,
        chosen.seen_seconds,
        chosen.drift_minutes,
        chosen.fvd_windows,
        chosen.diversity_seeds,
    )
    actors = _actors(chosen)
    network = I3D.load(chosen.assets, chosen.device) if settings.fvd_windows else None
    judge = fit_judge(read_takes(chosen.data, "judge"))
    drawn = settings.seen_seconds > 0 or chosen.sheets is not None or network is not None
    avatars = default_avatars(AVATARS, chosen.assets) if drawn else []
    studio = Studio(judge, tuple(avatars), chosen.assets, chosen.sheets)
    videos = VideoFeatures(network, studio.avatars, chosen.device) if network else None
    takes = read_takes(chosen.data, "held_out")
    systems: list[Endless] = [Procedural(), *actors] if settings.drift_minutes else []
    return Evaluation(
        about=_about(chosen.data, judge, settings, {actor.label: actor.about for actor in actors}),
        rows=tuple(evaluate(studio, takes, actors, settings)),
        drifts=tuple(drifts(studio, takes, systems, settings.drift_minutes)),
        frechet=tuple(frechets(videos, takes, actors, settings.fvd_windows) if videos else ()),
        diversity=tuple(seed_diversities(studio, takes, actors, settings.diversity_seeds)),
    )


def _actors(chosen: argparse.Namespace) -> list[Actor]:
    actors = actors_in(chosen.weights, chosen.ablations, chosen.steps, chosen.window)
    sight = DatasetIndex.read(chosen.data).visibility
    for actor in actors:
        if actor.model.geometry.sight != sight:
            raise ValueError(
                f"{actor.label} sees {actor.model.geometry.sight}, {chosen.data} was built for "
                f"{sight}: build the data again, or choose other weights"
            )
    return actors


def _about(
    data: Path, judge: AudioLipJudge, settings: Settings, actors: dict[str, Any]
) -> dict[str, Any]:
    index = DatasetIndex.read(data)
    return {
        "machine": machine(),
        "commit": commit(),
        "dataset": {"chunks": index.chunks, "recipe": index.recipe},
        "judge": {
            "correlations": judge.correlations.tolist(),
            "components": COMPONENTS,
            "window_frames": 2 * REACH + 1,
            "shifts_frames": SHIFT,
            "stretch_frames": STRETCH_FRAMES,
        },
        "settings": asdict(settings),
        "actors": actors,
    }


def main() -> None:
    chosen = options()
    cv2.setNumThreads(1)
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
