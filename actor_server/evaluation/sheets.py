"""Pictures to look at: the same moments of every system side by side, and their lips as curves.

Shapes: F frames; pictures are (height, width, 3) RGB.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from actor_server.codec.mesh.prepared import Image
from actor_server.evaluation.articulation import middle_frame
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.rendered import Avatar
from actor_server.evaluation.scoring import Performance
from actor_server.evaluation.takes import Take
from proto.time_law import FRAME_US

MOMENTS: Final = 9
FACE_PX: Final = 168
FACE_ROWS: Final = slice(34, 34 + FACE_PX)
FACE_COLUMNS: Final = slice(44, 44 + FACE_PX)
"""The part of a frame that holds the face."""
LABEL_PX: Final = 22
NAME_PX: Final = 120
CURVE_FRAMES: Final = 150
FRAME_PX: Final = 9
CURVE_PX: Final = 170
WIDEST_GAP: Final = 0.25
INK: Final = (30, 30, 30)
COLOURS: Final = ((20, 20, 20), (31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189))


def write_sheets(
    folder: Path, done: Sequence[Performance], avatars: Sequence[Avatar], take: int
) -> list[Path]:
    """Draw one take of all performances: a strip of faces per avatar, and one of curves."""
    folder.mkdir(parents=True, exist_ok=True)
    source = done[0].takes[take].source
    pictures = {
        f"faces-{source}-{take}-{avatar.name}.png": faces(done, avatar, take) for avatar in avatars
    }
    pictures[f"lips-{source}-{take}.png"] = curves(done, take)
    for name, picture in pictures.items():
        if not cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{folder / name} cannot be written")
    return [folder / name for name in pictures]


def faces(done: Sequence[Performance], avatar: Avatar, take: int) -> Image:
    """A row for each performance, a column for each moment, the phone above it."""
    moments = chosen_moments(done[0].takes[take])
    sheet = paper(LABEL_PX + FACE_PX * len(done), NAME_PX + FACE_PX * len(moments))
    for column, (symbol, frame) in enumerate(moments):
        x = NAME_PX + column * FACE_PX
        write(sheet, f"{symbol} {frame / 25:.2f} s", x + 6, LABEL_PX - 6)
        for row, performance in enumerate(done):
            y = LABEL_PX + row * FACE_PX
            (picture,) = avatar.draw(performance.latents[take][frame : frame + 1])
            sheet[y : y + FACE_PX, x : x + FACE_PX] = picture[FACE_ROWS, FACE_COLUMNS]
    for row, performance in enumerate(done):
        write(sheet, performance.label, 4, LABEL_PX + row * FACE_PX + FACE_PX // 2)
    return sheet


def curves(done: Sequence[Performance], take: int) -> Image:
    """The gap between the lips over the first seconds, a band for each performance."""
    frames = min(CURVE_FRAMES, done[0].takes[take].frames)
    sheet = paper(LABEL_PX + CURVE_PX * len(done), NAME_PX + FRAME_PX * frames)
    for phone in done[0].takes[take].phones:
        x = NAME_PX + round(phone.start_us / FRAME_US * FRAME_PX)
        if x < sheet.shape[1]:
            write(sheet, phone.symbol, x, LABEL_PX - 6, 0.33)
            cv2.line(sheet, (x, LABEL_PX), (x, sheet.shape[0]), (228, 228, 228), 1)
    truth = _curve(done[0], take, frames)
    for row, performance in enumerate(done):
        floor = LABEL_PX + (row + 1) * CURVE_PX - 8
        write(sheet, performance.label, 4, floor - CURVE_PX // 2)
        cv2.line(sheet, (NAME_PX, floor), (sheet.shape[1], floor), (180, 180, 180), 1)
        _draw(sheet, truth, floor, (190, 190, 190))
        _draw(sheet, _curve(performance, take, frames), floor, COLOURS[row % len(COLOURS)])
    return sheet


def chosen_moments(take: Take) -> list[tuple[str, int]]:
    """Middles of phones spread over the take, each sound at most once where there is a choice."""
    spoken = [(phone.symbol, middle_frame(phone)) for phone in take.phones]
    spoken = [(symbol, frame) for symbol, frame in spoken if frame < take.frames]
    first = list({symbol: (symbol, frame) for symbol, frame in reversed(spoken)}.values())
    first.sort(key=lambda moment: moment[1])
    if not first:
        return [("", int(f)) for f in np.linspace(0, take.frames - 1, MOMENTS)]
    picked = np.unique(np.linspace(0, len(first) - 1, MOMENTS).round().astype(int))
    return [first[at] for at in picked]


def _curve(done: Performance, take: int, frames: int) -> np.ndarray:
    gap: np.ndarray = LipTrack.of_latents(done.latents[take][:frames]).gap
    return gap


def _draw(sheet: Image, gap: np.ndarray, floor: int, colour: tuple[int, int, int]) -> None:
    height = np.clip(gap / WIDEST_GAP, 0, 1) * (CURVE_PX - 16)
    points = np.stack([NAME_PX + FRAME_PX * np.arange(len(gap)), floor - height], axis=1)
    cv2.polylines(sheet, [points.round().astype(np.int32)], False, colour, 2, cv2.LINE_AA)


def paper(height: int, width: int) -> Image:
    """A white picture."""
    return np.full((height, width, 3), 255, np.uint8)


def write(sheet: Image, text: str, x: int, y: int, size: float = 0.42) -> None:
    """Put a line of text on a picture, its lower left corner at (x, y)."""
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
