"""Glasses, found in the picture: rims do not rise with brows, dark lenses show no eyes.

They are part of the skin to the mesh, so what would bend them or shine through is held instead.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.latent import BROWS, FURROW, GAZE, LATENT_DIM, LIDS, Latent
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image

CHEEKS: Final = (50, 280, 205, 425)
# Skin round both eyes darker than this share of the cheeks is a dark lens; deep sockets have .6.
DARK_LENS: Final = 0.42
# A line across the nose darker than the skin above and below by this share of the cheeks' light is
# a bridge of glasses: seven faces have .38 and more with one drawn on, .10 at most without.
BRIDGE_DIP: Final = 0.2
BETWEEN_BROWS, NOSE = 9, 5
SAMPLES: Final = 80
REACH: Final = 22  # samples above and below in which the skin is looked for
BROWS_BEHIND_RIMS: Final = 0.25


def shown_share(image: Image, landmarks: Points) -> Latent:
    """Return (31,): how much of each number of the latent a portrait can show, mostly 1.

    Takes the crop (512, 512, 3) and its landmarks (478, 3).
    """
    share = np.ones(LATENT_DIM, np.float32)
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.2)
    light = np.asarray(grey, np.uint8)
    cheek = float(np.median(_light_at(light, landmarks[list(CHEEKS)]))) + 1e-6
    lenses = [
        float(np.median(_light_at(light, landmarks[[*eye.crease, *eye.under]]))) for eye in EYES
    ]
    dark = max(lenses) < DARK_LENS * cheek
    if dark or _bridge_dip(light, landmarks) > BRIDGE_DIP * cheek:
        share[BROWS] = share[FURROW] = BROWS_BEHIND_RIMS
    if dark:
        share[LIDS] = share[GAZE] = 0.0
    return share


def _bridge_dip(light: NDArray[np.uint8], landmarks: Points) -> float:
    """Return by how many grey levels the darkest line across the nose stands out."""
    top, low = landmarks[BETWEEN_BROWS, :2], landmarks[NOSE, :2]
    along = (low - top) / np.linalg.norm(low - top)
    across = np.array([-along[1], along[0]])
    middle = top + (low - top) * np.linspace(0, 1, SAMPLES)[:, None]
    rows = [_light_at(light, middle + offset * across) for offset in range(-2, 3)]
    profile = np.mean(rows, axis=0)
    dips = [
        min(profile[max(0, at - REACH) : at].max(), profile[at + 1 : at + 1 + REACH].max())
        - profile[at]
        for at in range(1, SAMPLES - 1)
    ]
    return float(max(dips))


def _light_at(light: NDArray[np.uint8], points: Points) -> NDArray[np.float64]:
    x, y = points[:, 0].astype(np.float32), points[:, 1].astype(np.float32)
    read: NDArray[np.float64] = cv2.remap(light, x[None], y[None], cv2.INTER_LINEAR)[0].astype(
        np.float64
    )
    return read
