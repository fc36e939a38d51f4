"""Fit lips from phones and lips from features on GRID, and write the procedural Actor's data.

    python -m actor_server.training.lip_models --grid PATH --out actor_server/motion/data

Run it again whenever the mouth basis changes: both models speak in its coefficients. Only motion
is learned, mirrored left to right, never the face or the voice.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.motion.feature_lips import (
    AUDIBLE,
    FUTURE_FRAMES,
    HOPS_PER_FRAME,
    PAST_FRAMES,
    frame_bands,
    frame_inputs,
    loudness,
)
from actor_server.motion.phone_lips import COLUMNS, CONTEXT_FRAMES, SYMBOLS, activations
from actor_server.motion.source import Floats
from actor_server.training.disguise import stretch_mel
from actor_server.training.grid_tracks import (
    GridTracks,
    audio_path,
    read_aligned_phones,
    read_tracks,
)
from actor_server.training.mouth_basis import HELD_OUT_EVERY, canonical_motion, mirror_order
from proto.messages import Phone
from proto.speech_features import HOP_SAMPLES, SpeechFeatures
from proto.time_law import HEARING_HZ

RARE_PENALTY: Final = 3.0
"""A phone's own column is damped more than its class: seldom phones lean on their class."""
PHONE_DAMPING: Final = 60.0
FEATURE_DAMPING: Final = 300.0
VOCAL_TRACTS: Final = (0.80, 0.87, 0.93, 1.0, 1.08, 1.16)
"""Shorter and longer vocal tracts than the speaker's, imitated by stretching the mel axis: one
voice alone teaches lips that follow only that voice."""
PEAK_PERCENTILE: Final = 97.0


@dataclass(frozen=True)
class Clip:
    """One clip: mouths (F, K), which frames are usable (F,), features (4 F, 80), phones."""

    mouths: Floats
    usable: NDArray[np.bool_]
    features: Floats
    phones: tuple[Phone, ...] | None
    held_out: bool


def read_clips(grid: Path, tracks: GridTracks) -> list[Clip]:
    """Every clip's mouth in the coefficients of the packaged basis."""
    face = canonical_face().vertices.astype(np.float64)
    motion = canonical_motion(tracks, face)
    basis = mouth_basis()
    flat = motion.displacements.reshape(len(motion.displacements), -1)
    mouths = flat @ basis.projection.T.astype(np.float32)
    mouths[:, ~_symmetric(face)] = 0.0
    phones = read_aligned_phones(grid)
    clips = []
    for number, name in enumerate(tracks.clip_names):
        frames = tracks.frames_of(number)
        timed = tuple(
            Phone(
                symbol=phone.symbol,
                start_us=round(phone.start_s * 1e6),
                end_us=round((phone.start_s + phone.duration_s) * 1e6),
            )
            for phone in phones.get(name, [])
        )
        clips.append(
            Clip(
                mouths[frames],
                motion.usable[frames],
                _features(audio_path(grid, name), frames.stop - frames.start),
                timed or None,
                number % HELD_OUT_EVERY == 0,
            )
        )
    return clips


def _symmetric(face: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which coefficients move both sides alike, (K,); the speaker's sideways habits stay his."""
    fields = mouth_basis().displacements
    mirrored = fields[:, mirror_order(face)] * [-1, 1, 1]
    symmetric: NDArray[np.bool_] = (fields * mirrored).sum((1, 2)) > 0
    return symmetric


def _features(audio: Path, frames: int) -> Floats:
    samples, rate = soundfile.read(audio, dtype="int16")
    if rate != HEARING_HZ:
        raise ValueError(f"{audio} has {rate} Hz, the corpus is needed at {HEARING_HZ} Hz")
    wanted = frames * HOPS_PER_FRAME
    padded = np.pad(samples, (0, max(0, wanted * HOP_SAMPLES - len(samples))))
    return SpeechFeatures().push(padded)[:wanted]


def fit_phone_lips(clips: list[Clip]) -> tuple[Floats, Floats]:
    """Return weights (O, S, K) and bias (K,)."""
    inputs, mouths = _stack(_phone_rows(clips, held_out=False))
    centre = mouths.mean(0)
    own = np.where(np.arange(len(COLUMNS)) < len(SYMBOLS), RARE_PENALTY, 1.0)
    penalty = PHONE_DAMPING * np.tile(own, 2 * CONTEXT_FRAMES + 1)
    normal = inputs.T @ inputs + np.diag(penalty)
    weights = np.linalg.solve(normal, inputs.T @ (mouths - centre))
    test_inputs, test_mouths = _stack(_phone_rows(clips, held_out=True))
    _report("phones", test_inputs @ weights + centre, test_mouths)
    shape = (2 * CONTEXT_FRAMES + 1, len(COLUMNS), mouths.shape[1])
    return weights.reshape(shape).astype(np.float32), centre.astype(np.float32)


def _phone_rows(clips: list[Clip], held_out: bool) -> Iterator[tuple[Floats, Floats]]:
    for clip in clips:
        if clip.phones is None or clip.held_out != held_out:
            continue
        frames = len(clip.mouths)
        padded = frames + 2 * CONTEXT_FRAMES
        active = activations(clip.phones, -CONTEXT_FRAMES * 40_000, padded, final=True)
        yield _windows(active, 2 * CONTEXT_FRAMES + 1)[clip.usable], clip.mouths[clip.usable]


def fit_feature_lips(clips: list[Clip]) -> tuple[list[Floats], Floats]:
    """Return one weight matrix for each number of known future frames, and the colour (B,)."""
    voices = {tract: _voice_inputs(clips, tract) for tract in VOCAL_TRACTS}
    natural, colour = voices[1.0]
    matrices = []
    for ahead in range(FUTURE_FRAMES + 1):
        normal: NDArray[np.float64] = np.zeros(1)
        target: NDArray[np.float64] = np.zeros(1)
        for inputs, _ in voices.values():
            train, mouths = _stack(_feature_rows(clips, inputs, ahead, held_out=False))
            normal = normal + train.T @ train / len(voices)
            target = target + train.T @ mouths / len(voices)
        weights = np.linalg.solve(normal + FEATURE_DAMPING * np.eye(len(normal)), target)
        test, truth = _stack(_feature_rows(clips, natural, ahead, held_out=True))
        _report(f"features, {ahead} frames ahead", test @ weights, truth)
        matrices.append(weights.astype(np.float32))
    return matrices, colour


def _voice_inputs(clips: list[Clip], tract: float) -> tuple[list[Floats], Floats]:
    """Inputs (F, I) of every clip as another vocal tract would say it, and its colour (B,)."""
    bands = [frame_bands(stretch_mel(clip.features, tract)) for clip in clips]
    peak = float(np.percentile(np.concatenate(bands).mean(1), PEAK_PERCENTILE))
    voiced = [rows[loudness(rows, peak) > AUDIBLE] for rows in bands]
    colour = np.concatenate([rows - rows.mean(1, keepdims=True) for rows in voiced]).mean(0)
    print(f"vocal tract {tract}: peak level {peak:.3f}")
    return [frame_inputs(rows, peak, colour) for rows in bands], colour.astype(np.float32)


def _feature_rows(
    clips: list[Clip], inputs: list[Floats], ahead: int, held_out: bool
) -> Iterator[tuple[Floats, Floats]]:
    for clip, rows in zip(clips, inputs, strict=True):
        if clip.held_out != held_out:
            continue
        padded = np.pad(rows, ((PAST_FRAMES, ahead), (0, 0)), mode="edge")
        windows = _windows(padded, PAST_FRAMES + 1 + ahead)[clip.usable]
        constant = np.ones((len(windows), 1), np.float32)
        yield np.concatenate([windows, constant], axis=1), clip.mouths[clip.usable]


def _windows(rows: Floats, width: int) -> Floats:
    """Rows (F + width - 1, I) to windows (F, width I), oldest first."""
    view = np.lib.stride_tricks.sliding_window_view(rows, width, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1)).reshape(len(view), -1)


def _stack(
    pairs: Iterator[tuple[Floats, Floats]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inputs, mouths = zip(*pairs, strict=True)
    return np.concatenate(inputs).astype(np.float64), np.concatenate(mouths).astype(np.float64)


def _report(name: str, guess: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
    figures = []
    for feature in ("gap", "width"):
        row = mouth_basis().features[feature]
        correlation = np.corrcoef(guess @ row, truth @ row)[0, 1]
        figures.append(
            f"{feature} r {correlation:.3f} size {(guess @ row).std() / (truth @ row).std():.2f}"
        )
    print(f"{name}: held out {len(truth)} frames, " + ", ".join(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--grid", type=Path, required=True, help="folder with tracks.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the models to")
    options = parser.parse_args()
    clips = read_clips(options.grid, read_tracks(options.grid))
    weights, bias = fit_phone_lips(clips)
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        options.out / "phone_lips.npz",
        columns=np.array(COLUMNS),
        weights=weights.astype(np.float16),
        bias=bias,
    )
    matrices, colour = fit_feature_lips(clips)
    named: dict[str, Any] = {f"weights_{ahead}": rows for ahead, rows in enumerate(matrices)}
    np.savez_compressed(options.out / "feature_lips.npz", colour=colour, **named)


if __name__ == "__main__":
    main()
