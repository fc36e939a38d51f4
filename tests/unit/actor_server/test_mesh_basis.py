"""The mouth basis inverts itself, answers in phonetic terms, and its phones look as they sound."""

import json
from importlib.resources import files

import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.latent import LATENT_DIM, LATENT_STD, MOUTH, MOUTH_DIM

pytestmark = pytest.mark.unit

# fmt: off
ARPABET = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH",
    "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH",
    "UW", "V", "W", "Y", "Z", "ZH",
]
# fmt: on
# Inner lip gap over the distance of the outer eye corners, as measured on the corpus.
MEASURED_GAPS = {"F": 0.041, "UW": 0.050, "L": 0.075, "S": 0.095, "AE": 0.107, "EH": 0.120}


def phone_mouth(symbol: str) -> np.ndarray:
    path = files("actor_server.codec.mesh") / "data" / "phone_mouths.json"
    return np.array(json.loads(path.read_text())[symbol]["mean"])


def gap(coefficients: np.ndarray) -> float:
    return float(mouth_basis().features["gap"] @ coefficients)


def test_projection_inverts_displacement() -> None:
    basis = mouth_basis()
    for coefficients in np.random.default_rng(0).normal(size=(20, MOUTH_DIM)):
        rebuilt = basis.project(basis.displace(coefficients))
        np.testing.assert_allclose(rebuilt, coefficients, atol=1e-9)


def test_the_mouth_moves_nothing_above_the_nose() -> None:
    basis, face = mouth_basis(), canonical_face().vertices
    eyes = face[list(topology.RIGHT_LID_LOWER + topology.LEFT_LID_LOWER), 1].max()
    upper_face = face[:, 1] < eyes
    assert np.abs(basis.displacements[:, upper_face]).max() == 0


def test_solving_for_features_reaches_them() -> None:
    basis = mouth_basis()
    wanted = {"gap": 0.2, "width": -0.08, "chin": 0.12}
    solution = basis.solve(damping=1e-3, **wanted)
    for name, value in wanted.items():
        assert float(basis.features[name] @ solution) == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize("symbol", ["B", "P", "M"])
def test_bilabials_are_closed_mouths(symbol: str) -> None:
    assert abs(gap(phone_mouth(symbol))) < 0.002


@pytest.mark.parametrize(("symbol", "measured"), MEASURED_GAPS.items())
def test_mean_apertures_are_those_of_the_corpus(symbol: str, measured: float) -> None:
    face = canonical_face().vertices
    eyes = np.linalg.norm(face[topology.RIGHT_LID_UPPER[0]] - face[topology.LEFT_LID_UPPER[0]])
    assert gap(phone_mouth(symbol)) / eyes == pytest.approx(measured, abs=0.015)


def test_every_arpabet_phone_has_a_mouth_and_names_its_stand_in() -> None:
    path = files("actor_server.codec.mesh") / "data" / "phone_mouths.json"
    table = json.loads(path.read_text())
    assert set(ARPABET) <= set(table)
    for symbol, row in table.items():
        assert len(row["mean"]) == len(row["std"]) == MOUTH_DIM
        assert (row["count"] == 0) == (row["substitute"] is not None), symbol


def test_the_canonical_face_is_an_open_surface_in_inter_iris_units() -> None:
    face = canonical_face()
    assert face.vertices.shape == (478, 3)
    assert face.triangles.shape == (852, 3)
    assert np.linalg.norm(face.vertices[468] - face.vertices[473]) == pytest.approx(1, abs=1e-3)
    # Euler characteristic of a disc with three holes: two eyes and a mouth.
    edges = {
        tuple(sorted(pair))
        for t in face.triangles
        for pair in ((t[0], t[1]), (t[1], t[2]), (t[0], t[2]))
    }
    assert 468 - len(edges) + len(face.triangles) == -2


def test_the_latent_layout_covers_every_dimension_once() -> None:
    assert LATENT_STD.shape == (LATENT_DIM,)
    assert (LATENT_STD > 0).all()
    assert (LATENT_STD[MOUTH] == 1).all()
