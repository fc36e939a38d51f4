"""The canonical face: the frame in which expressions of different people can be compared.

Units: inter-iris distances; x right, y down, z away from the viewer.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points, Similarity, align

RIGID = np.array(topology.RIGID)


@dataclass(frozen=True)
class CanonicalFace:
    """An average face and its triangles."""

    vertices: Points  # (478, 3)
    triangles: NDArray[np.int32]  # (852, 3)

    def align(self, landmarks: Points) -> Similarity:
        """Return the similarity that takes the canonical face to (478, 3) landmarks.

        It is measured on the points that expressions leave alone.
        """
        return align(self.vertices[RIGID], landmarks[RIGID])


@cache
def canonical_face() -> CanonicalFace:
    """Load the packaged canonical face."""
    resource = files("actor_server.codec.mesh") / "data" / "canonical_face.npz"
    with as_file(resource) as path, np.load(path) as archive:
        return CanonicalFace(archive["vertices"].astype(np.float64), archive["triangles"])
