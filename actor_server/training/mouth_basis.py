"""Fit the mouth basis and the mouth of every phone on GRID, and write the mesh codec's data.

    python -m actor_server.training.mouth_basis --grid PATH --landmarker face_landmarker.task \\
        --out actor_server/codec/mesh/data/mouth_basis.npz

Writes next to `--out`: `canonical_face.npz` and `phone_mouths.json`. Only motion relative to the
speaker's own closed mouth is used, mirrored left to right, never the face or the voice.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import MouthBasis, projection_weights
from actor_server.codec.mesh.canonical import RIGID
from actor_server.codec.mesh.latent import MOUTH_DIM
from actor_server.codec.mesh.pose import Points
from actor_server.training.canonical_face import face_triangles, read_canonical_face
from actor_server.training.grid_tracks import GridTracks, read_aligned_phones, read_tracks
from actor_server.training.phone_mouths import phone_mouths, print_apertures, write_phone_mouths

HELD_OUT_EVERY: Final = 15  # clips; 60 of 900
PIXELS_PER_UNIT: Final = (
    43.0  # inter-iris distance in a 256-pixel frame, for errors people can read
)
NEUTRAL_SHARE: Final = 0.1


@dataclass(frozen=True)
class LipMotion:
    """Departures from each clip's closed mouth."""

    displacements: NDArray[np.float32]  # (F, 478, 3) canonical units
    usable: NDArray[np.bool_]  # (F,)
    held_out: NDArray[np.bool_]  # (F,)


def canonical_motion(tracks: GridTracks, face: Points) -> LipMotion:
    """Take pose out of every frame and each clip's closed-mouth neutral out of every clip."""
    still = np.empty_like(tracks.landmarks)
    for clip in range(len(tracks.clip_names)):
        frames = tracks.frames_of(clip)
        still[frames] = _without_pose(tracks.landmarks[frames].astype(np.float64), face)
    usable = tracks.valid.copy()
    for clip in range(len(tracks.clip_names)):
        frames = tracks.frames_of(clip)
        good = still[frames][usable[frames]]
        if len(good) == 0:
            continue
        still[frames] -= closed_mouth_neutral(good)
    held_out = tracks.clip_of_frame() % HELD_OUT_EVERY == 0
    return LipMotion(still, usable, held_out)


def closed_mouth_neutral(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median (478, 3) of the frames with the lips most closed and the eyes open."""
    gaps = frames[:, topology.INNER_LIP_BOTTOM, 1] - frames[:, topology.INNER_LIP_TOP, 1]
    upper, lower = list(topology.RIGHT_LID_UPPER), list(topology.RIGHT_LID_LOWER)
    openness = (frames[:, lower, 1] - frames[:, upper, 1]).mean(1)
    blinking = openness < np.median(openness) - 2 * np.std(openness)
    order = np.argsort(gaps + 10.0 * blinking)
    chosen = order[: max(3, int(len(order) * NEUTRAL_SHARE))]
    neutral: NDArray[np.float32] = np.median(frames[chosen], axis=0)
    return neutral


def _without_pose(landmarks: Points, face: Points) -> Points:
    """Align (F, 478, 3) landmarks to the canonical face, all frames at once; see `pose.align`."""
    source = face[RIGID] - face[RIGID].mean(0)
    target_mean = landmarks[:, RIGID].mean(1, keepdims=True)
    target = landmarks[:, RIGID] - target_mean
    u, s, vt = np.linalg.svd(np.einsum("fni,nj->fij", target, source))
    signs = np.ones_like(s)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    matrix = (u * signs[:, None]) @ vt
    scale = np.maximum((s * signs).sum(1) / (source**2).sum(), 1e-9)
    centred = np.einsum("fni,fij->fnj", landmarks - target_mean, matrix) / scale[:, None, None]
    still: Points = centred + face[RIGID].mean(0)
    return still


def mouth_influence(face: Points) -> NDArray[np.float64]:
    """Return (478,) weights, 0 down to below the eyes and 1 from the base of the nose down."""
    eyes = face[[topology.RIGHT_LID_UPPER[0], topology.LEFT_LID_UPPER[0]], 1].mean()
    reach = face[topology.NOSE_BASE, 1] - eyes
    x = np.clip((face[:, 1] - (eyes + 0.35 * reach)) / (0.6 * reach), 0, 1)
    influence: NDArray[np.float64] = x * x * (3 - 2 * x)
    influence[topology.MESH_LANDMARKS :] = 0
    return influence


def mirror_order(face: Points) -> NDArray[np.int64]:
    """Return (478,) indices of each landmark's partner on the other side of the face."""
    mirrored = face * [-1, 1, 1]
    distance = np.linalg.norm(mirrored[:, None] - face[None], axis=2)
    partner: NDArray[np.int64] = distance.argmin(1)
    return partner


def fit_basis(motion: LipMotion, face: Points) -> MouthBasis:
    """Principal components of lower-face motion and its mirror image, lips weighted up."""
    influence = mouth_influence(face)
    weights = projection_weights(influence)
    train = motion.displacements[motion.usable & ~motion.held_out].astype(np.float64)
    mirrored = train[:, mirror_order(face)] * [-1, 1, 1]
    data = (np.concatenate([train, mirrored]) * weights[:, None]).reshape(2 * len(train), -1)
    values, vectors = np.linalg.eigh(data.T @ data / len(data))
    components = vectors[:, ::-1][:, :MOUTH_DIM].T * np.sqrt(values[::-1][:MOUTH_DIM, None])
    components *= np.sign(components.sum(1, keepdims=True))
    fields = components.reshape(MOUTH_DIM, -1, 3) / np.maximum(weights, 1e-3)[:, None]
    fields[:, weights == 0] = 0
    return MouthBasis(fields, influence)


def report_held_out(basis: MouthBasis, motion: LipMotion) -> None:
    """Print how well few and all coefficients rebuild clips that the fit never saw."""
    test = motion.displacements[motion.usable & motion.held_out].astype(np.float64)
    lips = list(topology.LIPS)
    rms = np.sqrt((test[:, lips, :2] ** 2).sum(-1).mean()) * PIXELS_PER_UNIT
    print(f"held out: {len(test)} frames, lip motion {rms:.2f} px rms in a 256-pixel frame")
    for kept in (4, 8, 12, MOUTH_DIM):
        part = basis.displacements[:kept].reshape(kept, -1)
        weights = np.repeat(projection_weights(basis.influence) ** 2, 3)
        solver = np.linalg.solve((part * weights) @ part.T, part * weights)
        rebuilt = (test.reshape(len(test), -1) @ solver.T @ part).reshape(test.shape)
        error = rebuilt - test
        lip_px = np.sqrt((error[:, lips, :2] ** 2).sum(-1).mean()) * PIXELS_PER_UNIT
        gap = error[:, topology.INNER_LIP_BOTTOM, 1] - error[:, topology.INNER_LIP_TOP, 1]
        gap_px = np.abs(gap).mean() * PIXELS_PER_UNIT
        print(f"  {kept:2d} coefficients: lips {lip_px:.3f} px rms, gap {gap_px:.3f} px mean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--grid", type=Path, required=True, help="folder with tracks.npz")
    parser.add_argument("--landmarker", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--out", type=Path, required=True, help="mouth_basis.npz to write")
    options = parser.parse_args()

    face = read_canonical_face(options.landmarker)
    tracks = read_tracks(options.grid)
    motion = canonical_motion(tracks, face.astype(np.float64))
    basis = fit_basis(motion, face.astype(np.float64))
    report_held_out(basis, motion)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        options.out,
        displacements=basis.displacements.astype(np.float32),
        influence=basis.influence.astype(np.float32),
    )
    np.savez_compressed(
        options.out.with_name("canonical_face.npz"), vertices=face, triangles=face_triangles()
    )
    coefficients = motion.displacements.reshape(len(motion.usable), -1) @ basis.projection.T
    mouths = phone_mouths(tracks, read_aligned_phones(options.grid), coefficients, basis)
    print_apertures(mouths, basis)
    write_phone_mouths(options.out.with_name("phone_mouths.json"), mouths)


if __name__ == "__main__":
    main()
