"""Portraits on disk: the square crop `<id>.png`, and `<id>.original` of shipped pictures.

Of an upload only the crop is kept: pixels that the Actor wrote anew, without anything that came
with the file.
"""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

MAGIC_TYPES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"RIFF", "image/webp"),
)


class PortraitFiles:
    """Writes are atomic: a reader sees the old file or the new one. Ids come from the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)

    def crop(self, avatar_id: str) -> Path:
        return self._folder / f"{avatar_id}.png"

    def original(self, avatar_id: str) -> Path:
        return self._folder / f"{avatar_id}.original"

    def best(self, avatar_id: str) -> Path | None:
        """The crop, or else the original, or else None."""
        both = (self.crop(avatar_id), self.original(avatar_id))
        return next((path for path in both if path.exists()), None)

    def save(self, path: Path, content: bytes) -> None:
        """Replace a file in one step, surviving a crash at any moment."""
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as part:
            try:
                part.write(content)
                part.flush()
                os.fsync(part.fileno())
                Path(part.name).replace(path)
            except OSError:
                Path(part.name).unlink(missing_ok=True)
                raise

    def remove(self, avatar_id: str) -> None:
        self.crop(avatar_id).unlink(missing_ok=True)
        self.original(avatar_id).unlink(missing_ok=True)

    def remove_strays(self, known: Collection[str], before_s: float) -> int:
        """Delete files that are of no known avatar and were last written before; how many."""
        strays = [
            path
            for path in self._folder.iterdir()
            if path.stem not in known and path.stat().st_mtime < before_s
        ]
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)


def media_type(path: Path) -> str:
    """The image type of a file by its first bytes."""
    with path.open("rb") as file:
        head = file.read(4)
    found = (kind for magic, kind in MAGIC_TYPES if head.startswith(magic))
    return next(found, "application/octet-stream")
