"""When the head turns, the side that comes into sight was hardly seen in the portrait.

Turned to the front at its true depth, a cheek that the portrait shows edge-on would come out at
full width, with neither ear nor beard nor hair on it. So the mesh has less depth there than the
head, and the further the head turns, the further inside the cheek its edge takes its skin from.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.outer_mesh import outer_depth
from actor_server.codec.mesh.pose import euler_angles
from actor_server.codec.mesh.shaping import smoothstep

# Canonical distance from the middle of the face where the side begins, and where it is full.
BEGINS: Final = 0.76  # just outside the eyes
FULL: Final = 1.12
CHEEK_BEGINS: Final = 0.10  # below the eyes; above this skin does not slide
CHEEK_FULL: Final = 0.40
FULL_TURN_RAD: Final = 0.12
# A side that the portrait shows from the front needs little, one turned away by this much all.
TURNED_AWAY_RAD: Final = 0.16
SLIDE: Final = 0.12  # inter-iris distances at the face's edge
LEAST_SLIDE: Final = 0.15
FLATTENED: Final = 0.8  # of the depth behind the eye's outer corner, at the face's edge
LEAST_FLATTENED: Final = 0.4


def flatten_sides(geometry: FaceGeometry) -> FaceGeometry:
    """Return the mesh with less depth towards the edge of a cheek that is turned away."""
    landmarks = geometry.vertices[: topology.LANDMARKS].copy()
    for side, eye in zip((-1, 1), EYES, strict=True):
        behind = np.maximum(landmarks[:, 2] - landmarks[eye.upper[0], 2], 0)
        hidden = _turned_away(geometry, side, LEAST_FLATTENED)
        landmarks[:, 2] -= FLATTENED * hidden * _towards_edge(geometry, side) * behind
    outer = geometry.vertices[topology.LANDMARKS :].copy()
    outer[:, 2] = outer_depth(landmarks, outer[:, :2], geometry.down)
    return replace(geometry, vertices=np.concatenate([landmarks, outer]))


@dataclass(frozen=True)
class RevealedSide:
    """What changes as one side of the face (of the picture) comes into sight."""

    slide: NDArray[np.float32]  # (478, 2) pixels that texture places move at a full turn

    @classmethod
    def build(cls, geometry: FaceGeometry, side: int) -> Self:
        """Prepare the left (-1) or right (1) side of the picture."""
        own = geometry.alignment.invert(geometry.vertices[: topology.LANDMARKS])
        edge = _towards_edge(geometry, side)
        edge *= smoothstep((own[:, 1] - CHEEK_BEGINS) / (CHEEK_FULL - CHEEK_BEGINS))
        across = geometry.alignment.rotation[:2, 0] * geometry.alignment.scale
        need = _turned_away(geometry, side, LEAST_SLIDE)
        return cls((-side * SLIDE * need * edge[:, None] * across).astype(np.float32))

    def apply(self, sources: NDArray[np.float32], yaw: float) -> None:
        """Slide texture places (V, 2) for a turn."""
        turn = min(abs(yaw) / FULL_TURN_RAD, 1.0)
        sources[: topology.LANDMARKS] += np.float32(turn) * self.slide


def _turned_away(geometry: FaceGeometry, side: int, least: float) -> float:
    """Return 1 for a side that the portrait turns away, `least` for one as near as the other."""
    yaw = euler_angles(geometry.alignment.rotation)[0]
    return float(np.clip(least + (1 - least) * -side * yaw / TURNED_AWAY_RAD, 0, 1))


def _towards_edge(geometry: FaceGeometry, side: int) -> NDArray[np.float64]:
    """Return (478,) 0 inside the eye's outer corner, 1 at the edge of that side."""
    own = geometry.alignment.invert(geometry.vertices[: topology.LANDMARKS])
    return smoothstep((side * own[:, 0] - BEGINS) / (FULL - BEGINS))
