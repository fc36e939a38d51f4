"""The LTX codec as a FaceStudio: portraits judged, cropped and encoded. Not thread-safe."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
import torch

from actor_server.codec.ltx.codec import LtxCodec
from actor_server.codec.ltx.painter import LtxPainter
from actor_server.codec.ltx.streaming import HISTORY_CHUNKS, PictureForgotten
from actor_server.compute import Compute
from actor_server.errors import PortraitRefused
from actor_server.face import Drawn, Face, Painter, Picture
from actor_server.motion.source import Floats
from actor_server.portrait.intake import PortraitIntake
from actor_server.portrait.verdict import PortraitVerdict
from actor_server.saving import Saving
from proto.time_law import CHUNK_FRAMES, FRAME_HEIGHT, FRAME_WIDTH

FULL_CHANGE: Final = 1.4
"""Mean change of a pixel from frame to frame, in grey levels, that counts as motion level 1. So
pictures of a talking mesh have about the level that its latents have (a test compares them)."""


class CallPainter:
    """An LtxPainter as calls want it: it can stand still, without decoding."""

    def __init__(self, painter: LtxPainter) -> None:
        self._painter = painter
        self._still = False
        self._frame: Picture | None = None
        """The last one shown, (384, 256)."""
        self._decoded: deque[int] = deque([0], maxlen=HISTORY_CHUNKS + 1)
        """How many chunks were decoded until then, after each chunk."""
        self._chunks = 0

    @torch.inference_mode()
    def draw(self, latents: Floats) -> Drawn | None:
        """Add a chunk's tokens (T, D), normalised."""
        if self._still and self._frame is not None:
            frames, decoded = np.repeat(self._frame[None], CHUNK_FRAMES, axis=0), 0
        else:
            drawn = self._painter.draw(torch.from_numpy(latents))
            if drawn is None:
                return None
            frames, decoded = drawn, 1
        self._frame = frames[-1].copy()  # the chunk is not ours any more
        self._decoded.append(self._decoded[-1] + decoded)
        self._chunks += 1
        return Drawn(frames, motion_level(frames))

    def rollback(self, chunk: int) -> None:
        """Go on after `chunk`, or begin again after -1. Raises streaming.PictureForgotten."""
        undone = self._chunks - 1 - chunk
        if not 0 <= undone < len(self._decoded):
            raise PictureForgotten(f"chunk {chunk} of {self._chunks} is not among the last ones")
        self._painter.rollback(self._decoded[-1 - undone] - 1)
        for _ in range(undone):
            self._decoded.pop()
        self._chunks = chunk + 1
        if chunk < 0:
            self._frame = None

    def ease(self, saving: Saving) -> None:
        """At STILL the last frame is shown on. Less cannot be saved: chunks are decoded whole."""
        self._still = saving >= Saving.STILL


def motion_level(frames: Picture) -> float:
    """How much a chunk's frames (C, 384, 256) change: 0 still, 1 as much as in lively speech."""
    luma = frames[:, :FRAME_HEIGHT].astype(np.int16)
    return float(min(1.0, np.abs(np.diff(luma, axis=0)).mean() / FULL_CHANGE))


@dataclass(frozen=True)
class LtxFace:
    """One portrait as the codec's tokens (R, D)."""

    reference: Floats
    codec: LtxCodec

    def painter(self) -> Painter:
        """A painter for one more call, decoding as the decoder was trained to."""
        return CallPainter(self.codec.open(torch.from_numpy(self.reference)))


class LtxStudio:
    """Owns the codec, and the models that look at portraits."""

    label = "ltx"

    def __init__(self, intake: PortraitIntake, codec: LtxCodec) -> None:
        self._intake = intake
        self._codec = codec

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """(T, D) of a chunk's tokens."""
        return self._codec.space.token_shape

    @classmethod
    def from_files(cls, assets: Path, autoencoder: Path, compute: Compute) -> Self:
        """That of a diffusers directory. Raises FileNotFoundError or LtxWeightsUnusable."""
        codec = LtxCodec.from_directory(autoencoder, compute.device, compute.dtype)
        return cls(PortraitIntake.from_assets(assets), codec)

    @property
    def savings(self) -> tuple[Saving, ...]:
        """A decoder that runs behind cannot stand still: it owes pictures of what was before."""
        return (Saving.STILL,) if self._codec.own_strategy == "causal" else ()

    def check(self, image: bytes) -> PortraitVerdict:
        """Judge an image file."""
        return self._intake.check(image)

    def build(self, image: bytes) -> Face:
        """The face of an image file. Raises PortraitRefused."""
        verdict = self._intake.check(image)
        if verdict.portrait is None:
            raise PortraitRefused(verdict.code, verdict.hint)
        size = (FRAME_WIDTH, FRAME_HEIGHT)
        picture = cv2.resize(verdict.portrait.image, size, interpolation=cv2.INTER_AREA)
        return self._face(np.ascontiguousarray(picture, np.uint8))

    def warm_up(self) -> None:
        """Encode and draw once before any caller comes."""
        face = self._face(np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 128, np.uint8))
        painter = face.painter()
        while painter.draw(face.reference) is None:
            pass

    def close(self) -> None:
        """Free the models that look at portraits."""
        self._intake.close()

    def _face(self, picture: np.ndarray) -> LtxFace:
        return LtxFace(self._codec.encode_reference(picture).cpu().numpy(), self._codec)
