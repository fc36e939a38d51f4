"""The mouth basis: sixteen ways in which a talking lower face departs from closed lips.

Shapes: `K` = 16 coefficients. Displacements are in canonical units (inter-iris distances).
Fitted by `python -m actor_server.training.mouth_basis`; see data/ATTRIBUTION.md.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.latent import MOUTH_DIM
from actor_server.codec.mesh.pose import Points

LIP_EMPHASIS: Final = 2.5
# Feature rows are scaled by this in `solve`, so that `damping` is relative to a comfortable effort.
_FEATURE_GAIN: Final = 8.0


@dataclass(frozen=True)
class MouthBasis:
    """Displacement fields of the whole face, one per coefficient."""

    displacements: Points  # (K, 478, 3) per standard deviation
    influence: NDArray[np.float64]  # (478,) 0 on the upper face, 1 round the mouth

    def __post_init__(self) -> None:
        expected = (MOUTH_DIM, topology.LANDMARKS, 3)
        if self.displacements.shape != expected:
            raise ValueError(
                f"mouth basis has shape {self.displacements.shape}, the latent needs {expected}: "
                "fit it again with actor_server.training.mouth_basis"
            )

    @cached_property
    def projection(self) -> NDArray[np.floating]:
        """Return (K, 1434): weighted least squares from displacements to coefficients."""
        weights = projection_weights(self.influence)
        fields = self.displacements.reshape(MOUTH_DIM, -1)
        weighted = fields * np.repeat(weights**2, 3)
        inverse: NDArray[np.floating] = np.linalg.solve(weighted @ fields.T, weighted)
        return inverse

    def displace(self, coefficients: NDArray[np.floating]) -> Points:
        """Return the (478, 3) displacement of (K,) coefficients."""
        field: Points = np.tensordot(coefficients.astype(np.float64), self.displacements, 1)
        return field

    def project(self, displacement: Points) -> NDArray[np.float64]:
        """Return the (K,) coefficients of a (478, 3) displacement, the inverse of `displace`."""
        coefficients: NDArray[np.float64] = self.projection @ displacement.reshape(-1)
        return coefficients

    @cached_property
    def features(self) -> dict[str, NDArray[np.float64]]:
        """Return how each coefficient changes what a phonetician would name, (K,) each.

        gap: inner lips apart; width: mouth corners apart; upper, lower: how far each inner lip
        leaves its place, outwards; corners: raised; chin: dropped; protrusion: lips forward;
        thickness: vermilion shown; asymmetry: sideways.
        """
        field = self.displacements
        top, bottom = field[:, topology.INNER_LIP_TOP], field[:, topology.INNER_LIP_BOTTOM]
        outer_top, outer_bottom = (
            field[:, topology.OUTER_LIP_TOP],
            field[:, topology.OUTER_LIP_BOTTOM],
        )
        right, left = topology.OUTER_CORNERS
        return {
            "gap": bottom[:, 1] - top[:, 1],
            "width": field[:, left, 0] - field[:, right, 0],
            "upper": -top[:, 1],
            "lower": bottom[:, 1],
            "corners": -(field[:, left, 1] + field[:, right, 1]) / 2,
            "chin": field[:, topology.CHIN, 1],
            "protrusion": -(outer_top[:, 2] + outer_bottom[:, 2]) / 2,
            "thickness": (outer_bottom[:, 1] - bottom[:, 1]) + (top[:, 1] - outer_top[:, 1]),
            "asymmetry": top[:, 0],
        }

    def solve(self, damping: float = 0.01, **wanted: float) -> NDArray[np.floating]:
        """Return the smallest (K,) coefficients whose features are as wanted, inter-iris units.

        Asymmetry is zero unless asked for: `solve(gap=.2, width=-.1)` is an "oh".
        """
        goals = {"asymmetry": 0.0} | wanted
        rows = np.stack([self.features[name] for name in goals]) * _FEATURE_GAIN
        targets = np.array(list(goals.values())) * _FEATURE_GAIN
        normal = rows.T @ rows + damping * np.eye(MOUTH_DIM)
        solution: NDArray[np.floating] = np.linalg.solve(normal, rows.T @ targets)
        return solution


def projection_weights(influence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (478,) weights: the lower face, lips above all, nothing that lids or brows move."""
    weights = np.where(influence > 0.05, influence, 0.0)
    weights[list(topology.LIPS)] *= LIP_EMPHASIS
    return weights


@cache
def mouth_basis() -> MouthBasis:
    """Load the packaged basis."""
    resource = files("actor_server.codec.mesh") / "data" / "mouth_basis.npz"
    with as_file(resource) as path, np.load(path) as archive:
        return MouthBasis(
            archive["displacements"].astype(np.float64), archive["influence"].astype(np.float64)
        )
