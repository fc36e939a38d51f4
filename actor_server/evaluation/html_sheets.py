"""Pictures in the report, each with a line on what it shows."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2

from reporting.page import embedded

JPEG_QUALITY: Final = 80
PORTRAITS_PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "models" / "portraits.md"


def sheets_section(folder: Path | None) -> str:
    """The pictures of a folder, each above its caption: a .txt beside it, or what it is called."""
    files = sorted(folder.glob("*.png")) if folder else []
    if not files:
        return "<h2>Contact sheets</h2><p>None were drawn.</p>"
    return _section("Contact sheets", [([file], caption(file)) for file in files])


def portraits_section(folder: Path | None, page: Path = PORTRAITS_PAGE) -> str:
    """The contact sheets of a folder that the page on portraits knows, and what it says is wrong.

    Faces and, under them, mouths and eyes; lines alone of kinds that were refused or not drawn.
    Nothing without a sheet.
    """
    if folder is None:
        return ""
    drawn: list[tuple[list[Path], str]] = []
    undrawn: list[str] = []
    for kind, said in shortcomings(page).items():
        files = [folder / f"{kind}.png", folder / f"{kind}-close.png"]
        if files[0].is_file():
            drawn.append(([file for file in files if file.is_file()], said))
        else:
            undrawn.append(said)
    if not drawn:
        return ""
    lines = "".join(f"<li>{escape(said)}</li>" for said in undrawn)
    rest = f"<p>Refused, or not drawn here:</p><ul>{lines}</ul>" if undrawn else ""
    return _section("Kinds of portraits", drawn) + rest


def shortcomings(page: Path) -> dict[str, str]:
    """Each kind of portrait in the page's table: how it came about, and what is wrong with it."""
    rows = re.findall(r"^\| ([\w-]+)[^|]* \| ([^|]+) \| ([^|]+) \|$", page.read_text(), re.M)
    return {
        kind: f"{kind}: {made}. What is wrong: {wrong}."
        for kind, made, wrong in rows
        if kind != "kind"
    }


def _section(title: str, captions: Sequence[tuple[list[Path], str]]) -> str:
    figures = "".join(
        f"<figure>{''.join(embedded(_jpeg(file), file.stem) for file in files)}"
        f"<figcaption>{escape(said)}</figcaption></figure>"
        for files, said in captions
    )
    return f'<h2>{title}</h2><div class="sheets">{figures}</div>'


def caption(file: Path) -> str:
    """What a sheet shows: the text beside it, or what its name says."""
    if (said := file.with_suffix(".txt")).is_file():
        return said.read_text().strip()
    if found := re.fullmatch(r"faces-(\w+)-(\d+)-(\w+)", file.stem):
        takes, number, avatar = found.groups()
        return (
            f"{takes}, take {number} on {avatar}: a row for each system, the same moments in each "
            "column, in the middle of the phone above it. Look for lips that differ from the first "
            "row's, for teeth, seams and warped edges."
        )
    if found := re.fullmatch(r"lips-(\w+)-(\d+)", file.stem):
        takes, number = found.groups()
        return (
            f"{takes}, take {number}: the gap between the lips over six seconds, phones above. "
            "Grey is the first row's curve. A curve should close where it closes and peak where it "
            "peaks."
        )
    return file.stem.replace("-", " ")


def _jpeg(file: Path) -> bytes:
    """Raises ValueError for a file that is no picture."""
    picture = cv2.imread(str(file))
    if picture is None:
        raise ValueError(f"{file} is no picture")
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()
