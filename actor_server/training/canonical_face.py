"""Read the metric face mesh out of Google's `face_landmarker.task` bundle.

Source: `geometry_pipeline_metadata_landmarks.binarypb` (MediaPipe FaceGeometry, Apache-2.0): field
1 is the canonical mesh, its field 3 the vertex buffer (x, y, z, u, v as float32; centimetres; y up,
z to the viewer).
"""

import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.portrait.mediapipe_tasks import vision

METADATA_MEMBER: Final = "geometry_pipeline_metadata_landmarks.binarypb"
# An adult iris is 11.7 mm across and pupils are 63 mm apart, in inter-iris distances.
IRIS_RADIUS: Final = 0.093
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def read_canonical_face(task: Path) -> NDArray[np.float32]:
    """Return the (478, 3) canonical face in inter-iris distances, x right, y down, z away.

    The mesh has no irises; their five points each are placed in the middle of the eye corners.
    """
    with zipfile.ZipFile(task) as bundle:
        metadata = bundle.read(METADATA_MEMBER)
    mesh = next(value for field, value in _fields(metadata) if field == 1)
    floats = b"".join(value for field, value in _fields(mesh) if field == 3)
    metric = np.frombuffer(floats, "<f4").reshape(-1, 5)[:, :3].astype(np.float64) * [1, -1, -1]
    right = (metric[topology.RIGHT_LID_UPPER[0]] + metric[topology.RIGHT_LID_UPPER[-1]]) / 2
    left = (metric[topology.LEFT_LID_UPPER[0]] + metric[topology.LEFT_LID_UPPER[-1]]) / 2
    unit = float(np.linalg.norm(right - left))
    ring = np.array([[0, 0, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]]) * IRIS_RADIUS * unit
    face = np.concatenate([metric, right + ring, left + ring])
    centred: NDArray[np.float32] = ((face - (right + left) / 2) / unit).astype(np.float32)
    return centred


def face_triangles() -> NDArray[np.int32]:
    """Return (T, 3) triangles of the landmarker's tessellation, eyes and mouth left open.

    The tessellation is published as edges; its triangles are the 3-cliques, less the two whose
    every edge already has a triangle on either side.
    """
    edges = {
        (min(edge.start, edge.end), max(edge.start, edge.end))
        for edge in vision.FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION
    }
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    cliques = {tuple(sorted((a, b, c))) for a, b in edges for c in neighbours[a] & neighbours[b]}
    uses = Counter(edge for clique in cliques for edge in combinations(clique, 2))
    kept = [
        clique for clique in sorted(cliques) if any(uses[e] <= 2 for e in combinations(clique, 2))
    ]
    return np.array(kept, np.int32)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (field number, payload) of a protobuf message; varints are skipped."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
            continue
        if wire == _LENGTH_DELIMITED:
            size, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"unexpected protobuf wire type {wire} in {METADATA_MEMBER}")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
