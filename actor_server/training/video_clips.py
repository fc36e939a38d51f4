"""A folder of video clips as random cuts of square pictures; 25 frames a second, as curated."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from proto.time_law import FRAMES_PER_SECOND

VIDEO_KINDS: Final = (".mpg", ".mp4", ".avi", ".mov", ".mkv", ".webm")
Clip = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoFile:
    """One clip and how long it is."""

    path: Path
    frames: int


class VideoFolder:
    """The clips below a folder that are long enough, in the order of their names."""

    def __init__(self, folder: Path, frames: int, size: int) -> None:
        """Cuts of `frames` pictures, `size` pixels on a side. Raises ValueError without any."""
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
        files = [VideoFile(path, length_of(path)) for path in paths]
        self.files = [file for file in files if file.frames >= frames]
        self._frames, self._size = frames, size
        if not self.files:
            raise ValueError(
                f"{folder} holds {len(files)} videos ({', '.join(VIDEO_KINDS)}), none of {frames} "
                f"frames or more, which is {frames / FRAMES_PER_SECOND:.1f} s"
            )

    def cut(self, rng: np.random.Generator) -> Clip:
        """A random cut (F, size, size, 3), RGB."""
        file = self.files[rng.integers(len(self.files))]
        first = int(rng.integers(file.frames - self._frames + 1))
        found = islice(pictures_of(file.path, first), self._frames)
        pictures = [square(picture, self._size) for picture in found]
        if len(pictures) < self._frames:
            raise ValueError(f"{file.path} ends before its {file.frames} frames: remove it")
        return np.stack(pictures)


def length_of(video: Path) -> int:
    """Frames of a clip. Raises ValueError, see `opened`."""
    with opened(video) as container:
        return container.streams.video[0].frames or sum(1 for _ in container.decode(video=0))


def pictures_of(video: Path, first: int = 0) -> Iterator[Clip]:
    """Every frame from `first` on, RGB. Raises ValueError, see `opened`."""
    with opened(video) as container:
        for frame in islice(container.decode(video=0), first, None):
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


@contextmanager
def opened(video: Path) -> Iterator[InputContainer]:
    """A video. Raises ValueError for one that cannot be read, or of another frame rate."""
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise ValueError(f"{video} holds no pictures")
            rate = container.streams.video[0].average_rate
            if rate != FRAMES_PER_SECOND:
                raise ValueError(
                    f"{video} has {rate} frames a second, training needs {FRAMES_PER_SECOND}: "
                    f"convert it with `ffmpeg -i IN -r {FRAMES_PER_SECOND} OUT.mp4`"
                )
            yield container
    except FFmpegError as error:
        raise ValueError(f"{video} cannot be read, remove it ({error})") from error


def square(picture: Clip, size: int) -> Clip:
    """The middle of a picture, `size` pixels on a side."""
    height, width, _ = picture.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.ascontiguousarray(picture[top : top + side, left : left + side])
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (size, size), interpolation=way), np.uint8)
