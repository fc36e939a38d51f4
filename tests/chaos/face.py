"""Whether it still is the face that was called, by the soak's likeness meter."""

import os
import tempfile
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from livekit import rtc

from actor_server.evaluation.identity import FaceUnseen
from services.paths import cache_paths
from services.soak.likeness import LikenessMeter

SAME_FACE = 0.8
"""What a soak wants; the shipped portraits reach 0.75 with each other."""


class Likeness:
    """Compares what a caller sees with the portrait of whom was called."""

    def __init__(self, portrait: bytes) -> None:
        self._frames = tempfile.TemporaryDirectory(prefix="xstreamer-faces-")
        folder = Path(self._frames.name)
        self._meter = LikenessMeter(cache_paths(os.environ).assets, portrait, folder)

    def of(self, picture: rtc.VideoFrame | None) -> float:
        """Cosine with the portrait. Fails the test where there is no face."""
        assert picture is not None
        try:
            return self._meter.look(_png(picture), "now").portrait
        except FaceUnseen as unseen:
            pytest.fail(f"the caller sees no face: {unseen}")


async def likeness(rest: httpx.AsyncClient, avatar: str) -> Likeness:
    """With the portrait that the gateway shows of an avatar."""
    portrait = await rest.get(f"/api/avatars/{avatar}/portrait")
    return Likeness(portrait.raise_for_status().content)


def _png(picture: rtc.VideoFrame) -> bytes:
    """Of an I420 frame."""
    planes = np.frombuffer(picture.data, np.uint8).reshape(-1, picture.width)
    colours = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
    return bytes(cv2.imencode(".png", colours)[1].tobytes())
