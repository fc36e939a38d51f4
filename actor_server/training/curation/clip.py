"""A clip: where it lies in a video, and what the steps have found out about it so far.

It is what judges look at, and one row of the Parquet file of every step.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
import pyarrow as pa
import soundfile

from actor_server.training.curation.media import ClipUnusable, Picture, Sound, pictures_of, sound_of
from proto.time_law import FRAMES_PER_SECOND, HEARING_HZ


@dataclass(frozen=True)
class Clip:
    """`frames` pictures of a video from `first_frame` on, at 25 a second.

    What no step has measured yet is None. crop_*: the square round the face, pixels of the video,
    perhaps reaching beyond it. sound_file: denoised speech, mono, 16 kHz. shard: the file of
    OUT/latents that holds the clip. rejected: why the clip is not used.
    """

    name: str
    video: str
    first_frame: int
    frames: int
    lip_sync: float | None = None
    people: float | None = None
    face_share: float | None = None
    crop_left: float | None = None
    crop_top: float | None = None
    crop_side: float | None = None
    quality: float | None = None
    text: float | None = None
    sound_file: str | None = None
    language: str | None = None
    transcript: str | None = None
    shard: str | None = None
    rejected: str | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / FRAMES_PER_SECOND

    def found(self, **values: Any) -> Self:
        """The same clip, with what a step has found."""
        return replace(self, **values)

    def pictures(self, every: int = 1) -> Iterator[Picture]:
        """Whole pictures (H, W, 3), RGB: all, or one in so many. Raises ClipUnusable."""
        return pictures_of(Path(self.video), self.first_frame, self.frames, every)

    def faces(self, size: int) -> Iterator[Picture]:
        """The square round the face in every picture, (size, size, 3). Raises ClipUnusable."""
        if self.crop_left is None or self.crop_top is None or self.crop_side is None:
            raise ClipUnusable("nobody has looked for a face")
        scale = size / self.crop_side
        matrix = np.array([[scale, 0, -scale * self.crop_left], [0, scale, -scale * self.crop_top]])
        for picture in self.pictures():
            if scale < 1:  # what is made smaller must be smoothed first
                blur = 0.45 * np.sqrt(scale**-2 - 1) + 0.05
                picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)
            crop = cv2.warpAffine(
                picture, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
            yield np.asarray(crop, np.uint8)

    def original_sound(self, rate_hz: int = HEARING_HZ) -> Sound:
        """Mono (S,), as the video has it. Raises ClipUnusable."""
        return sound_of(Path(self.video), self.first_frame, self.frames, rate_hz)

    def speech(self) -> Sound:
        """Denoised speech, mono (S,), 16 kHz. Raises ClipUnusable."""
        if self.sound_file is None:
            raise ClipUnusable("nobody has denoised its sound")
        samples, _ = soundfile.read(self.sound_file, dtype="float32")
        return np.asarray(samples, np.float32)


_KINDS: Final = {
    **dict.fromkeys(("name", "video", "sound_file", "language"), pa.string()),
    **dict.fromkeys(("transcript", "shard", "rejected"), pa.string()),
    **dict.fromkeys(("first_frame", "frames"), pa.int64()),
}
SCHEMA: Final = pa.schema(
    [(name, _KINDS.get(name, pa.float64())) for name in Clip.__dataclass_fields__]
)
"""Of a step's Parquet file: the fields of Clip."""


def clips_of(table: pa.Table) -> list[Clip]:
    """The clips of a table."""
    return [Clip(**row) for row in table.to_pylist()]


def table_of(clips: list[Clip]) -> pa.Table:
    """The table of some clips."""
    return pa.Table.from_pylist([asdict(clip) for clip in clips], schema=SCHEMA)
