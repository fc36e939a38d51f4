"""Milliseconds per frame of the mesh decoder, for every default portrait.

    python -m actor_server.codec.mesh.benchmark --out decoder.json

Prints a table and writes one JSON object. Times are CPU time of one thread, I420 conversion
included, so that what else the machine does hardly counts.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from actor_server.codec.mesh.decoder import I420_SHAPE, MeshDecoder, warm_up
from actor_server.codec.mesh.latent import (
    GAZE,
    LATENT_DIM,
    LATENT_STD,
    LIDS,
    Latent,
    portrait_latent,
)
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.config import ActorConfig
from actor_server.measured_on import commit, machine
from actor_server.portrait.intake import PortraitIntake

FRAMES: Final = 500
PORTRAITS: Final = Path(__file__).resolve().parents[3] / "gateway" / "data" / "portraits"
BUDGET_MS: Final = 4.0
BLINK_EVERY: Final = 75  # frames: one blink in three seconds
BLINK: Final = (0.35, 0.85, 1.0, 0.8, 0.45, 0.15)


@dataclass(frozen=True)
class Figures:
    """One portrait's times."""

    portrait: str
    prepare_ms: float  # decode, find the face, judge, crop, segment
    build_ms: float  # mesh, expressions, textures
    first_frame_ms: float
    frame_ms_median: float
    frame_ms_p95: float
    state_mb: float
    identity_psnr_db: float  # at rest, against the portrait


def talking_latents(frames: int) -> list[Latent]:
    """Return smooth random talk: head, mouth and brows move, eyes look about and blink."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(frames + 8, LATENT_DIM))
    kernel = np.hanning(7) / np.linalg.norm(np.hanning(7))
    smooth = np.stack([np.convolve(column, kernel, "same") for column in noise.T], axis=1)
    latents = (smooth[:frames] * LATENT_STD).astype(np.float32)
    latents[:, GAZE] = np.repeat(latents[::10, GAZE], 10, axis=0)[:frames]
    latents[:, LIDS] = 0
    for start in range(20, frames - len(BLINK), BLINK_EVERY):
        latents[start : start + len(BLINK), LIDS] = np.array(BLINK, np.float32)[:, None]
    return list(latents)


def measure(name: str, picture: bytes, intake: PortraitIntake, latents: list[Latent]) -> Figures:
    started = time.thread_time()
    prepared = intake.prepare(picture)
    between = time.thread_time()
    portrait = MeshPortrait.build(prepared)
    built = time.thread_time()
    decoder = MeshDecoder(portrait)
    frame = np.empty(I420_SHAPE, np.uint8)
    decoder.render(latents[0], frame)
    first = time.thread_time()
    times = []
    for latent in latents:
        before = time.thread_time()
        decoder.render(latent, frame)
        times.append(time.thread_time() - before)
    median, p95 = np.percentile(times, [50, 95]) * 1e3
    return Figures(
        portrait=name,
        prepare_ms=round((between - started) * 1e3, 1),
        build_ms=round((built - between) * 1e3, 1),
        first_frame_ms=round((first - built) * 1e3, 2),
        frame_ms_median=round(float(median), 3),
        frame_ms_p95=round(float(p95), 3),
        state_mb=round(array_bytes(portrait) / 2**20, 2),
        identity_psnr_db=round(
            identity_psnr(decoder.render_rgb(portrait_latent()), prepared.image), 1
        ),
    )


def identity_psnr(frame: NDArray[np.uint8], crop: NDArray[np.uint8]) -> float:
    """Return dB between a (256, 256, 3) frame at rest and the reduced (512, 512, 3) crop."""
    wanted = cv2.resize(crop, frame.shape[1::-1], interpolation=cv2.INTER_AREA)
    error = np.square(frame.astype(np.float64) - wanted).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def array_bytes(value: object) -> int:
    """Return the memory of all arrays in a tree of dataclasses and tuples."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple):
        return sum(array_bytes(part) for part in value)
    if is_dataclass(value):
        return sum(array_bytes(getattr(value, part.name)) for part in fields(value))
    return 0


def print_table(console: Console, results: list[Figures]) -> None:
    table = Table(title="Mesh decoder: CPU milliseconds of one thread, I420 included")
    for name in ("portrait", "prepare", "build", "first frame", "median", "p95", "MB", "rest dB"):
        table.add_column(name, justify="left" if name == "portrait" else "right")
    for row in results:
        table.add_row(*(str(value) for value in asdict(row).values()))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds per frame of the mesh decoder.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--portraits", type=Path, default=PORTRAITS, help="folder of *.jpg")
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    parser.add_argument("--frames", type=int, default=FRAMES)
    options = parser.parse_args()
    console = Console()
    cv2.setNumThreads(1)
    pictures = sorted(options.portraits.glob("*.jpg"))
    if not pictures:
        parser.error(f"no *.jpg in {options.portraits}")
    intake = PortraitIntake.from_assets(options.assets)
    started = time.thread_time()
    warm_up(MeshPortrait.build(intake.prepare(pictures[0].read_bytes())))
    warm_up_ms = (time.thread_time() - started) * 1e3
    latents = talking_latents(options.frames)
    results = [measure(file.stem, file.read_bytes(), intake, latents) for file in pictures]
    intake.close()
    print_table(console, results)
    worst = max(row.frame_ms_median for row in results)
    console.print(
        f"slowest median {worst:.2f} ms, budget {BUDGET_MS:g} ms; warm-up {warm_up_ms:.0f} ms"
    )
    report = {
        "machine": machine(),
        "commit": commit(),
        "frames": options.frames,
        "budget_ms": BUDGET_MS,
        "worst_median_ms": worst,
        "within_budget": worst <= BUDGET_MS,
        "warm_up_ms": round(warm_up_ms, 1),
        "portraits": [asdict(row) for row in results],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
