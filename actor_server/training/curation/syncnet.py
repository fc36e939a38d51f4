"""Lip sync by SyncNet (Chung and Zisserman, "Out of time", 2016), from a user's export.

Two ONNX files of the released network, one for each of its halves. F pictures, W windows.
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.training.curation.clip import Clip
from actor_server.training.curation.faces import Landmarker
from actor_server.training.curation.judges import Box
from actor_server.training.curation.media import ClipUnusable, Picture
from actor_server.training.curation.mfcc import RATE_HZ, mfcc
from actor_server.training.curation.onnx_file import OnnxFile

SIDE: Final = 224
WINDOW_FRAMES: Final = 5
WINDOW_CEPSTRA: Final = 20
CEPSTRA_PER_FRAME: Final = 4
SHIFTS: Final = 15
"""Sound is compared with lips so many frames earlier and later."""
MARGIN: Final = 0.4
PADDING: Final = 110
BATCH: Final = 20


class SyncNet:
    """A LipSyncJudge.

    lips: (N, 3, 5, 224, 224), five successive faces, BGR of 0..255, to (N, 1024); sound:
    (N, 1, 13, 20), 0.2 s of `mfcc`, to (N, 1024): `forward_lip` and `forward_aud` of the released
    code, N free. task: face_landmarker.task. The released code cuts faces by another detector, so
    scores are near its own but not the same.
    """

    def __init__(self, lips: str, sound: str, task: str, device: str = "cpu") -> None:
        self._lips = OnnxFile(lips, (None, 3, WINDOW_FRAMES, SIDE, SIDE), device)
        self._sound = OnnxFile(sound, (None, 1, 13, WINDOW_CEPSTRA), device)
        self._faces = Landmarker(task)

    def score(self, clip: Clip) -> float:
        """The released code's confidence: median less least of the mean distances by shift."""
        faces = np.stack(list(self._faces_of(clip)))  # (F, 224, 224, 3)
        cepstra = mfcc(clip.original_sound(RATE_HZ))  # (13, T)
        sounds = (cepstra.shape[1] - WINDOW_CEPSTRA) // CEPSTRA_PER_FRAME + 1
        windows = min(len(faces) - WINDOW_FRAMES + 1, sounds)
        if windows < 1:
            raise ClipUnusable("too short to judge its lips")
        lips, voice = [], []
        for first in range(0, windows, BATCH):
            places = range(first, min(first + BATCH, windows))
            seen = np.stack([faces[place : place + WINDOW_FRAMES] for place in places])
            lips.append(self._lips(seen.transpose(0, 4, 1, 2, 3).astype(np.float32)))
            begins = [CEPSTRA_PER_FRAME * place for place in places]
            heard = np.stack([cepstra[:, begin : begin + WINDOW_CEPSTRA] for begin in begins])
            voice.append(self._sound(heard[:, None]))
        return confidence(np.concatenate(lips), np.concatenate(voice))

    def _faces_of(self, clip: Clip) -> Iterator[Picture]:
        """As SyncNet was shown them, BGR; one that is missed lies where the one before did."""
        box: Box | None = None
        for picture in clip.pictures():
            box = next(iter(self._faces.faces(picture)), box)
            if box is None:
                raise ClipUnusable("it begins without a face whose lips could be judged")
            yield _cut(picture[..., ::-1], box)


def confidence(lips: NDArray[np.float32], voice: NDArray[np.float32]) -> float:
    """Of embeddings (W, E) both; beyond either end the voice is zero, as in the released code."""
    padded = np.pad(voice, ((SHIFTS, SHIFTS), (0, 0)))
    distances = [
        np.linalg.norm(lips - padded[shift : shift + len(lips)] + 1e-6, axis=1).mean()
        for shift in range(2 * SHIFTS + 1)
    ]
    return float(np.median(distances) - np.min(distances))


def _cut(picture: Picture, box: Box) -> Picture:
    """(224, 224, 3), with more chin than forehead."""
    left, top, width, height = box
    half = max(width, height) / 2
    middle_x, middle_y = left + width / 2, top + height / 2
    reach = half * (1 + MARGIN)
    scale = SIDE / (2 * reach)
    shift = [SIDE / 2 - scale * middle_x, -scale * (middle_y - half)]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    face = cv2.warpAffine(
        np.ascontiguousarray(picture), matrix, (SIDE, SIDE), borderValue=(PADDING,) * 3
    )
    return np.asarray(face, np.uint8)
