"""Expressions of one portrait: mouth, brows, furrow, lids and gaze as vertex displacements.

Shapes: `V` vertices, `K` = 16 mouth coefficients. Units: crop pixels unless said otherwise.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import (
    BROWS,
    FURROW,
    GAZE,
    LIDS,
    MOUTH,
    REST,
    Latent,
)
from actor_server.codec.mesh.lip_seam import OPEN_AT_REST
from actor_server.codec.mesh.outer_mesh import OVAL
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.shaping import index

BROW_UNIT: Final = 0.1  # inter-iris distances
FURROW_UNIT: Final = 0.09
GAZE_UNIT: Final = 0.42  # eye widths
LID_WIDEN: Final = 0.6  # at closure -1 the eye would be this much wider
LID_LOWER_SHARE: Final = 0.08  # of a closure is done by the lower lid
UPPER_LIP_SHARE: Final = 0.4  # of a closing mouth is done by the upper lip
LIPS_TOUCH: Final = 0.07  # inter-iris distances
LIP_FOLLOWS: Final = 0.6  # the outer edge of a lip follows the inner one by this much
CREASE_SHARE: Final = 0.30  # of the closure is followed by the fold above the lid

_INNER_UPPER = index(topology.LIP_INNER_UPPER)
_INNER_LOWER = index(topology.LIP_INNER_LOWER)


@dataclass(frozen=True)
class Eye:
    """Landmark rows of one eye."""

    upper: NDArray[np.int64]  # (9,)
    lower: NDArray[np.int64]  # (9,)
    crease: NDArray[np.int64]  # (7,)
    under: NDArray[np.int64]  # (7,)
    iris: NDArray[np.int64]  # (5,)


RIGHT_EYE: Final = Eye(
    index(topology.RIGHT_LID_UPPER),
    index(topology.RIGHT_LID_LOWER),
    index(topology.RIGHT_CREASE),
    index(topology.RIGHT_UNDER_LID),
    index(topology.RIGHT_IRIS),
)
LEFT_EYE: Final = Eye(
    index(topology.LEFT_LID_UPPER),
    index(topology.LEFT_LID_LOWER),
    index(topology.LEFT_CREASE),
    index(topology.LEFT_UNDER_LID),
    index(topology.LEFT_IRIS),
)
EYES: Final = (RIGHT_EYE, LEFT_EYE)


@dataclass(frozen=True)
class Expression:
    """Displacement fields of one portrait; `apply` sums them, the encoder inverts them."""

    mouth: Points  # (K, V, 3) per coefficient
    closing: Points  # (V, 3) closes the portrait's mouth
    brows: Points  # (3, V, 3): right brow, left brow, furrow
    mouth_scale: float  # the portrait's mouth over the canonical one
    down: Points  # (3,)
    touch: float = 0.0  # gap between the lips from which they draw together; 0: never

    @classmethod
    def build(cls, geometry: FaceGeometry) -> Self:
        """Scale the mouth basis to the portrait and shape its brow fields."""
        face = canonical_face().vertices
        own = geometry.alignment.invert(geometry.vertices[: topology.LANDMARKS])
        right, left = topology.OUTER_CORNERS
        ratio = np.linalg.norm(own[right] - own[left]) / np.linalg.norm(face[right] - face[left])
        mouth_scale = float(np.clip(ratio, 0.75, 1.25))
        to_pixels = geometry.alignment.scale * geometry.alignment.rotation.T
        spread = _oval_spread(geometry)

        def on_mesh(field: Points) -> Points:
            pixels = field @ to_pixels
            return np.concatenate([pixels, spread @ pixels[OVAL]])

        basis = mouth_basis()
        closing = on_mesh(_closing_field(own, mouth_scale))
        brows = (
            _brow_field(own, index(topology.RIGHT_BROW), RIGHT_EYE),
            _brow_field(own, index(topology.LEFT_BROW), LEFT_EYE),
            _furrow_field(own),
        )
        return cls(
            mouth=np.stack([on_mesh(field * mouth_scale) for field in basis.displacements]),
            closing=closing,
            brows=np.stack([on_mesh(field) for field in brows]),
            mouth_scale=mouth_scale,
            down=geometry.down,
            touch=0.0 if closing.any() else LIPS_TOUCH * geometry.alignment.scale,
        )

    def apply(self, rest: Points, latent: Latent) -> Points:
        """Return the (V, 3) vertices with the latent's expression, head not yet turned."""
        brows = np.append(latent[BROWS], latent[FURROW]).astype(np.float64)
        vertices = rest + np.tensordot(latent[MOUTH].astype(np.float64), self.mouth, 1)
        vertices += np.tensordot(brows, self.brows, 1)
        vertices += (1.0 - float(latent[REST])) * self.closing
        self._meet_lips(vertices)
        for eye, closure in zip(EYES, latent[LIDS], strict=True):
            _close_lids(vertices, eye, float(closure))
            width = np.linalg.norm(rest[eye.upper[0]] - rest[eye.upper[-1]])
            vertices[eye.iris, :2] += latent[GAZE] * (GAZE_UNIT * width)
        return vertices

    def _meet_lips(self, vertices: Points) -> None:
        """Let lips that come near each other touch; neither may pass through the other.

        They are soft and bulge where they are pressed: a gap below `touch` shrinks by its square.
        """
        gaps = np.maximum(self._lip_gaps(vertices), 0)
        self._set_gaps(vertices, np.minimum(gaps, gaps**2 / self.touch) if self.touch else gaps)

    def part_lips(self, vertices: Points) -> None:
        """Put lips as far apart as they were before they drew together; what met stays so."""
        gaps = np.maximum(self._lip_gaps(vertices), 0)
        self._set_gaps(vertices, np.maximum(gaps, np.sqrt(gaps * self.touch)))

    def _lip_gaps(self, vertices: Points) -> NDArray[np.float64]:
        """Return (11,) how far the inner lips are apart, below 0 where they overlap."""
        return np.asarray((vertices[_INNER_LOWER] - vertices[_INNER_UPPER]) @ self.down)

    def _set_gaps(self, vertices: Points, gaps: NDArray[np.float64]) -> None:
        closer = (self._lip_gaps(vertices) - gaps)[:, None] * self.down
        vertices[_INNER_LOWER] -= 0.5 * closer
        vertices[_INNER_UPPER] += 0.5 * closer


def _close_lids(vertices: Points, eye: Eye, closure: float) -> None:
    if closure == 0:
        return
    opening = (vertices[eye.lower] - vertices[eye.upper])[1:-1]
    lower_share = LID_LOWER_SHARE if closure > 0 else 0.0
    upper_share = 1 - LID_LOWER_SHARE if closure > 0 else LID_WIDEN
    vertices[eye.upper[1:-1]] += opening * (closure * upper_share)
    vertices[eye.lower[1:-1]] -= opening * (closure * lower_share)
    vertices[eye.crease] += opening * (closure * CREASE_SHARE)


def lid_opening(vertices: Points, eye: Eye) -> float:
    """Return the mean distance between the lids over the middle of the eye."""
    opening = vertices[eye.lower] - vertices[eye.upper]
    return float(np.linalg.norm(opening[3:6], axis=1).mean())


def _oval_spread(geometry: FaceGeometry) -> Points:
    """Return (outer, oval) weights that let jaw and neck follow the face's edge and fade out."""
    outer = geometry.vertices[topology.LANDMARKS :, :2]
    oval = geometry.vertices[OVAL, :2]
    distance = np.linalg.norm(outer[:, None] - oval[None], axis=2)
    weights = np.exp(-((distance / (0.10 * geometry.face_height)) ** 2)) + 1e-9
    weights /= weights.sum(1, keepdims=True)
    fade = np.exp(-((distance.min(1) / (0.22 * geometry.face_height)) ** 2))
    spread: Points = weights * fade[:, None]
    return spread


def _closing_field(own: Points, mouth_scale: float) -> Points:
    """Return the (478, 3) canonical displacement that brings parted lips together, or zeros.

    The basis does what jaw and cheeks do; what is then left of each gap is closed lip by lip.
    """
    gaps = own[_INNER_LOWER, 1] - own[_INNER_UPPER, 1]
    if gaps.max() <= OPEN_AT_REST:
        return np.zeros_like(own)
    basis = mouth_basis()
    field = basis.displace(basis.solve(damping=0.02, gap=-gaps[5] / mouth_scale)) * mouth_scale
    shut = own + field
    left = shut[_INNER_LOWER] - shut[_INNER_UPPER]
    field[_INNER_UPPER] += UPPER_LIP_SHARE * left
    field[_INNER_LOWER] -= (1 - UPPER_LIP_SHARE) * left
    field[index(topology.LIP_OUTER_UPPER)] += UPPER_LIP_SHARE * left * LIP_FOLLOWS
    field[index(topology.LIP_OUTER_LOWER)] -= (1 - UPPER_LIP_SHARE) * left * LIP_FOLLOWS
    return field


def _brow_field(own: Points, brow: NDArray[np.int64], eye: Eye) -> Points:
    """Return the (478, 3) canonical displacement of one brow raised by one unit."""
    centre = own[brow].mean(0)
    width = np.abs(own[brow, 0] - centre[0]).max() * 1.35
    lid = own[eye.upper[4], 1]
    across = np.exp(-1.2 * ((own[:, 0] - centre[0]) / width) ** 2)
    above = own[:, 1] - centre[1]
    upwards = np.exp(-((above / 0.38) ** 2))
    downwards = np.clip(1 - above / (lid - centre[1] + 1e-6) * 0.95, 0, 1)
    field = np.zeros_like(own)
    field[:, 1] = -BROW_UNIT * across * np.where(above < 0, upwards, downwards)
    return field


def _furrow_field(own: Points) -> Points:
    """Return the (478, 3) canonical displacement of brows drawn together by one unit."""
    middle = own[list(topology.INNER_BROWS)].mean(0)
    x, y = own[:, 0] - middle[0], own[:, 1] - middle[1]
    weight = np.exp(-((x / 0.28) ** 2 + (y / 0.25) ** 2))
    field = np.zeros_like(own)
    field[:, 0] = -0.5 * FURROW_UNIT * weight * np.tanh(x / 0.12)
    field[:, 1] = 0.03 * weight
    return field
