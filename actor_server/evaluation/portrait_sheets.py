"""A contact sheet for each kind of portrait: the same faces made by all, to be looked at.

    python -m actor_server.evaluation.portrait_sheets --out DIR

Writes `KIND.png` (faces, 256x256 as a caller sees them, labelled) and `KIND-close.png` (mouth and
eyes of the same faces, enlarged) for each, `overview.jpg` with a few faces of all, and prints what
intake said to each picture. What is wrong with each is told in docs/models/portraits.md.
"""

import argparse
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.latent import (
    BROWS,
    FURROW,
    GAZE,
    LIDS,
    MOUTH,
    PITCH,
    YAW,
    Latent,
    portrait_latent,
    speech_neutral_latent,
)
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import FRAME_SIZE, Image, PreparedPortrait
from actor_server.config import ActorConfig
from actor_server.evaluation.portrait_kinds import Kind, Sources, kinds, names
from actor_server.portrait.intake import PortraitIntake

COLUMNS: Final = 6
OVERVIEW: Final = ("the picture", "ah", "blink", "yaw -15", "yaw +15")
OVERVIEW_PX: Final = 112
JPEG_QUALITY: Final = 80
OVERVIEW_KINDS: Final = 3  # side by side
LABEL_PX: Final = 22
CLOSE_SHAPE: Final = (168, 96)  # rows of the enlarged mouth and of the enlarged eyes
INK: Final = (30, 30, 30)
TURN_RAD: Final = float(np.radians(15))
NOD_RAD: Final = float(np.radians(10))
_EYE_CORNERS: Final = (33, 263)
_BROW_TO_LID: Final = (105, 334, 145, 374)


def faces() -> dict[str, Latent]:
    """What every portrait is asked to do, by label."""
    return {
        "rest": portrait_latent(),
        "closed for speech": speech_neutral_latent(),
        "ah": _speaking(gap=0.30, chin=0.15),
        "ee": _speaking(gap=0.09, width=0.16),
        "oo": _speaking(gap=0.10, width=-0.16, protrusion=0.05),
        "wide smile": _speaking(gap=0.12, width=0.24, corners=0.10),
        "pressed": _speaking(gap=-0.02, thickness=-0.05),
        "blink half": _with(LIDS, 0.5),
        "blink": _with(LIDS, 1.0),
        "gaze left": _with(GAZE, (-0.45, 0.0)),
        "gaze right": _with(GAZE, (0.45, 0.0)),
        "yaw -15": _with(YAW, -TURN_RAD),
        "yaw +15": _with(YAW, TURN_RAD),
        "pitch down": _with(PITCH, NOD_RAD),
        "pitch up": _with(PITCH, -NOD_RAD),
        "brows up": _with(BROWS, 1.2),
        "furrow": _with(FURROW, 1.2),
    }


def _with(part: int | slice, value: float | tuple[float, float]) -> Latent:
    latent = portrait_latent()
    latent[part] = value
    return latent


def _speaking(**wanted: float) -> Latent:
    latent = speech_neutral_latent()
    latent[MOUTH] = mouth_basis().solve(**wanted)
    return latent


Cells = dict[str, Image]
"""Pictures by label."""


def sheets(prepared: PreparedPortrait) -> tuple[Cells, Cells]:
    """Return the faces of one portrait, the picture itself first, and their mouths and eyes."""
    portrait = MeshPortrait.build(prepared)
    decoder = MeshDecoder(portrait)
    size = (FRAME_SIZE, FRAME_SIZE)
    picture = np.asarray(cv2.resize(prepared.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    whole = {"the picture": picture}
    close = {"the picture": _close(picture, portrait.vertices(portrait_latent()))}
    for label, latent in faces().items():
        whole[label] = decoder.render_rgb(latent)
        close[label] = _close(whole[label], portrait.vertices(latent))
    return whole, close


def _close(frame: Image, vertices: np.ndarray) -> Image:
    """Enlarge the mouth and, under it, the eyes."""
    points = vertices[:, :2] / 2
    mouth, eyes = points[list(topology.LIPS)], points[[*_EYE_CORNERS, *_BROW_TO_LID]]
    parts = [
        _enlarged(frame, part.mean(0), np.ptp(part[:, 0]) * factor, rows)
        for part, factor, rows in zip((mouth, eyes), (1.5, 1.35), CLOSE_SHAPE, strict=True)
    ]
    return np.concatenate(parts)


def _enlarged(frame: Image, centre: np.ndarray, wide: float, rows: int) -> Image:
    scale = FRAME_SIZE / max(wide, 8.0)
    offset = np.array([FRAME_SIZE / 2, rows / 2]) - centre * scale
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    part = cv2.warpAffine(frame, matrix, (FRAME_SIZE, rows), flags=cv2.INTER_CUBIC)
    return np.asarray(part, np.uint8)


def overview(kinds: dict[str, Cells]) -> Image:
    """Lay a few faces of each kind side by side."""
    strips = {}
    for name, cells in kinds.items():
        size = (OVERVIEW_PX, OVERVIEW_PX)
        row = [cv2.resize(cells[label], size, interpolation=cv2.INTER_AREA) for label in OVERVIEW]
        strips[name] = np.asarray(np.concatenate(row, axis=1), np.uint8)
    return grid(strips, OVERVIEW_KINDS)


def grid(cells: Cells, columns: int = COLUMNS) -> Image:
    """Lay pictures of one size in rows, each under its label."""
    height, width = next(iter(cells.values())).shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + LABEL_PX), columns * width, 3), 255, np.uint8)
    for number, (label, cell) in enumerate(cells.items()):
        x, y = number % columns * width, number // columns * (height + LABEL_PX)
        at = (x + 6, y + LABEL_PX - 6)
        cv2.putText(sheet, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
        sheet[y + LABEL_PX : y + LABEL_PX + height, x : x + width] = cell
    return sheet


def write(picture: Image, file: Path) -> None:
    """Raises OSError where that cannot be."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if file.suffix == ".jpg" else []
    if not cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options):
        raise OSError(f"{file} cannot be written")


def draw(kind: Kind, intake: PortraitIntake, folder: Path) -> tuple[str, Cells]:
    """Write one kind's sheets; return what intake said to its picture, and the faces if any."""
    verdict = intake.check(kind.picture)
    if verdict.portrait is None:
        return f"refused ({verdict.code}): {verdict.hint}", {}
    whole, close = sheets(verdict.portrait)
    write(grid(whole), folder / f"{kind.name}.png")
    write(grid(close), folder / f"{kind.name}-close.png")
    return f"taken, face {verdict.checks['face_px']:.0f} px", whole


def main() -> None:
    parser = argparse.ArgumentParser(description="Contact sheets of many kinds of portraits.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", nargs="*", choices=names(), help="default: all")
    parser.add_argument("--also", nargs="*", type=Path, default=[], help="further picture files")
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    table = Table("kind", "how it came about", "intake", "CPU s", title="Portraits")
    intake = PortraitIntake.from_assets(chosen.assets)
    further = (Kind(file.stem, "a file", file.read_bytes()) for file in chosen.also)
    drawn: dict[str, Cells] = {}
    started = time.process_time()
    for kind in (*kinds(Sources(intake), chosen.only), *further):
        said, cells = draw(kind, intake, chosen.out)
        if cells:
            drawn[kind.name] = cells
        now = time.process_time()
        table.add_row(kind.name, kind.made, said, f"{now - started:.1f}")
        started = now
    intake.close()
    if drawn:
        write(overview(drawn), chosen.out / "overview.jpg")
    Console().print(table)


if __name__ == "__main__":
    main()
