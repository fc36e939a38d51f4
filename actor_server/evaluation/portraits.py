"""The paper's protocol: each portrait of a folder answers each query of another folder.

    make eval-portraits PORTRAITS=DIR QUERIES=DIR DATA=DATASET OUT=DIR

The Thinker answers the queries once, as in calls (`thinker_server.answer_queries`). For every
portrait the Actor performs the answers anew, the decoder draws them, and a landmarker looks at the
frames. Writes a video for each pair, and the figures of each portrait as JSON and as a page.

Source: X-Streamer (arXiv 2509.21574), section 4: 50 portraits, 50 query sets, 256x256.
"""

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rich.console import Console

from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import Image, PreparedPortrait
from actor_server.config import ActorConfig
from actor_server.evaluation.actor_system import Actor, actors_in
from actor_server.evaluation.audio_lip_judge import AudioLipJudge
from actor_server.evaluation.evaluate import fit_judge
from actor_server.evaluation.html_report import STYLE
from actor_server.evaluation.html_sheets import sheets_section
from actor_server.evaluation.html_tables import section
from actor_server.evaluation.identity import FaceUnseen
from actor_server.evaluation.queries import INDEX_NAME, Scene, read_scenes
from actor_server.evaluation.rendered import Avatar, Watcher
from actor_server.evaluation.rendered_measures import Examiner
from actor_server.evaluation.report import as_rounded, row_tables
from actor_server.evaluation.scoring import Performance, Row, row, seen_row
from actor_server.evaluation.sheets import faces
from actor_server.evaluation.takes import read_takes
from actor_server.evaluation.video import write_video
from actor_server.measured_on import commit, machine
from actor_server.motion.choice import SHIPPED_WEIGHTS
from actor_server.portrait.intake import PortraitIntake
from actor_server.portrait.refusal import PortraitRefused
from reporting.page import document

PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp")
TABLE_COLUMNS: Final = 170
SHEET_NAME: Final = "portraits"
SHEET_CAPTION: Final = """The first conversation, a row for each portrait: the same moments in each
column, in the middle of the phone above it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Studio:
    """What all portraits share."""

    actor: Actor
    judge: AudioLipJudge
    scenes: tuple[Scene, ...]
    assets: Path
    out: Path


def prepared_in(folder: Path, assets: Path) -> tuple[dict[str, PreparedPortrait], dict[str, str]]:
    """The portraits of a folder by file name, and why others are refused, as in the product."""
    prepared, refused = {}, {}
    intake = PortraitIntake.from_assets(assets)
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() not in PICTURES:
                continue
            try:
                prepared[file.stem] = intake.prepare(file.read_bytes())
            except PortraitRefused as refusal:
                refused[file.name] = refusal.hint
    finally:
        intake.close()
    return prepared, refused


def answer(studio: Studio, portraits: Mapping[str, PreparedPortrait]) -> Iterator[Row]:
    """Two rows of figures for each portrait; writes its videos, and one contact sheet of all."""
    if len(portraits) < 2:
        raise ValueError("a face is also compared with another one's: two portraits are needed")
    strips = []
    strangers = [*portraits.values()][1:] + [*portraits.values()][:1]
    for number, (name, prepared) in enumerate(portraits.items()):
        avatar = Avatar(name, MeshDecoder(MeshPortrait.build(prepared)), prepared.image)
        done = perform(studio.actor, studio.scenes, number, name)
        for scene, latents in zip(studio.scenes, done.latents, strict=True):
            frames = (avatar.decoder.render_rgb(latent) for latent in latents)
            write_video(studio.out / f"{name}-{scene.name}.mp4", frames, scene.pcm)
        yield row(studio.judge, done)
        yield from _seen(studio, done, avatar, strangers[number].image)
        strips.append(faces([done], avatar, 0))
    if strips:
        sheet = cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(studio.out / f"{SHEET_NAME}.png"), sheet)
        (studio.out / f"{SHEET_NAME}.txt").write_text(SHEET_CAPTION)


def _seen(studio: Studio, done: Performance, avatar: Avatar, stranger: Image) -> Iterator[Row]:
    """A row, unless a model does not take what is drawn for a face: some paintings."""
    try:
        examiner = Examiner.open(avatar, stranger, studio.assets)
        watcher = Watcher.open(avatar, studio.assets)
    except (ValueError, FaceUnseen) as unseen:
        _log.warning("a portrait is not measured", extra={"why": str(unseen)})
        return
    try:
        yield seen_row(studio.judge, done, watcher, examiner)
    finally:
        watcher.close()


def perform(actor: Actor, scenes: Sequence[Scene], portrait: int, label: str) -> Performance:
    """Every conversation is a stream of its own, from a seed of its own."""
    latents = [
        np.concatenate(list(actor.with_seed(portrait * len(scenes) + number).stream([scene.take])))
        for number, scene in enumerate(scenes)
    ]
    return Performance(label, tuple(scene.take for scene in scenes), tuple(latents))


def mean_of(figures: Sequence[Any]) -> Any:
    """Objects of the same form as one with the mean of each number that was measured."""
    known = [figure for figure in figures if figure is not None]
    if not known or isinstance(known[0], str):
        return None
    if isinstance(known[0], dict):
        names = dict.fromkeys(name for figure in known for name in figure)
        return {name: mean_of([figure.get(name) for figure in known]) for name in names}
    if isinstance(known[0], list | tuple):
        return [mean_of(column) for column in zip(*known, strict=True)]
    return float(np.mean(known))


def report(rows: Sequence[Row], refused: dict[str, str], answers: Path) -> dict[str, Any]:
    """One object ready for JSON: each portrait, and the means over portraits of what is seen."""
    seen = [asdict(one) for one in rows if one.lips != "latents"]
    whole = {
        "machine": machine(),
        "commit": commit(),
        "answers": json.loads((answers / INDEX_NAME).read_text()),
        "refused": refused,
        "portraits": [asdict(one) for one in rows],
        "mean": mean_of(seen),
    }
    rounded: dict[str, Any] = as_rounded(whole)
    return rounded


def page(rows: Sequence[Row], refused: dict[str, str], out: Path) -> str:
    """The same for people, with the contact sheet."""
    why = "".join(f"<li>{escape(name)}: {escape(hint)}</li>" for name, hint in refused.items())
    shown = "".join(section(table, "") for table in row_tables(rows))
    return document(
        "Portraits and queries",
        f"<h1>Portraits and queries</h1><p>The same answers on every portrait.</p>"
        f"<ul>{why}</ul>{shown}{sheets_section(out)}",
        STYLE,
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Each portrait answers each query.")
    parser.add_argument("--portraits", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--queries", type=Path, required=True, help="folder of texts and sounds")
    parser.add_argument("--data", type=Path, required=True, help="dataset to fit the judge on")
    parser.add_argument("--out", type=Path, required=True, help="folder for videos and figures")
    parser.add_argument("--voice", default="default", help="as in a call")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS)
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    return parser.parse_args()


def main() -> None:
    chosen = options()
    cv2.setNumThreads(1)
    answers = chosen.out / "answers"
    chosen.out.mkdir(parents=True, exist_ok=True)
    ask(chosen.queries, chosen.voice, answers)
    (actor,) = actors_in(chosen.weights, None, None, None)
    scenes = read_scenes(answers, actor.model.geometry.sight)
    judge = fit_judge(read_takes(chosen.data, "judge"))
    studio = Studio(actor, judge, tuple(scenes), chosen.assets, chosen.out)
    prepared, refused = prepared_in(chosen.portraits, chosen.assets)
    rows = list(answer(studio, prepared))
    console = Console(width=max(TABLE_COLUMNS, Console().width))
    for table in row_tables(rows):
        console.print(table)
    for name, hint in refused.items():
        console.print(f"{name} was refused: {hint}", markup=False)
    figures = json.dumps(report(rows, refused, answers), indent=1)
    (chosen.out / "portraits.json").write_text(figures + "\n")
    (chosen.out / "portraits.html").write_text(page(rows, refused, chosen.out))


def ask(queries: Path, voice: str, answers: Path) -> None:
    """Have the Thinker answer, in a process of its own."""
    command = [sys.executable, "-m", "thinker_server.answer_queries", "--queries", str(queries)]
    subprocess.run([*command, "--voice", voice, "--out", str(answers)], check=True)


if __name__ == "__main__":
    main()
