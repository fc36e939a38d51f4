"""The white of an eye: what a white thing looks like in the light that a portrait stands in.

Lamps and varnish make it yellow, screens and the sky blue; hardly any light is red. What is far
redder than it is yellow is lid, corner or a brown iris, and tells nothing of the light.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.prepared import Image
from actor_server.codec.mesh.shaping import polygon_mask, ring

PALE: Final = 0.2  # colourfulness, of its light, that a white may have whatever its hue
RED: Final = 0.12  # by which red may exceed green in a white, of its light, ...
RED_OF_YELLOW: Final = 0.55  # ... and so much more for each part of yellow over blue
TOO_RED: Final = 1.6  # times that: nothing of its colour is believed
UNSEEN: Final = np.full(3, 190.0)

Colours = NDArray[np.float64]
"""(..., 3) RGB, 0 .. 255."""


def eye_white(image: Image, landmarks: NDArray[np.floating]) -> Colours:
    """Return the (3,) white of both open eyes: what light falls on a white thing, whatever the
    skin."""
    seen = np.zeros(image.shape[:2], bool)
    for eye in EYES:
        opening = np.asarray(ring(landmarks[eye.upper, :2], landmarks[eye.lower, :2]))
        seen |= polygon_mask(image.shape[:2], opening) > 0
    return brightest(image[seen])


def brightest(pixels: NDArray[np.generic]) -> Colours:
    """Return the (3,) mean colour of the brightest tenth of (N, 3) pixels, as a white can be; a
    light grey where there are none."""
    if not len(pixels):
        return UNSEEN.copy()
    light = pixels.mean(1)
    return as_white(pixels[light >= np.percentile(light, 90)].astype(np.float64).mean(0))


def as_white(colours: Colours, least: float = 0.0) -> Colours:
    """Return (..., 3) colours as the white of an eye can be: no darker than `least`, and paler the
    redder they were."""
    grey = np.maximum(colours.mean(-1, keepdims=True), 1.0)
    red, green, blue = np.moveaxis(colours, -1, 0)[..., None]
    yellow = np.maximum(0.0, (red + green) / 2 - blue) / grey
    too_red = (red - green) / grey / (RED + RED_OF_YELLOW * yellow)
    light_of = np.clip((TOO_RED - too_red) / (TOO_RED - 1), 0, 1)
    pale = np.minimum(1.0, PALE * grey / np.maximum(np.ptp(colours, axis=-1, keepdims=True), 1e-6))
    white = grey + (colours - grey) * (pale + (1 - pale) * light_of)
    return np.asarray(white * np.maximum(1.0, least / grey), np.float64)
