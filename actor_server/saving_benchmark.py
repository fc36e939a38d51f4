"""What each step of saving work costs, of a call that speaks, with the real weights and codec.

    python -m actor_server.saving_benchmark --out docs/benchmarks/saving.json

CPU milliseconds a chunk of one thread, from the condition to the drawn frames.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console

from actor_server.benchmark import speech
from actor_server.codec.mesh.benchmark import PORTRAITS
from actor_server.config import ActorConfig
from actor_server.face import Face
from actor_server.measured_on import commit, machine
from actor_server.mesh_studio import MeshStudio
from actor_server.model.geometry import NANO
from actor_server.motion.choice import choose_motion
from actor_server.motion.source import Floats, MotionSource
from actor_server.saving import Saving
from proto.time_law import CHUNK_US

FADING_CHUNKS: Final = 4
"""Until nothing is left of the step before."""


@dataclass(frozen=True)
class Cost:
    """Of one chunk at one step; medians."""

    step: str
    motion_ms: float
    drawing_ms: float
    share_of_real_time: float


def measure(source: MotionSource, face: Face, saving: Saving, chunks: int) -> Cost:
    stream, painter = source.open(face.reference, seed=1), face.painter()
    stream.ease(saving)
    painter.ease(saving)
    condition = speech(NANO)
    motion, drawing = [], []
    for _ in range(FADING_CHUNKS + chunks):
        began = time.thread_time()
        stream.offer(condition)
        latents: Floats | None = None
        while latents is None:
            latents = stream.next_chunk()
        moved = time.thread_time()
        painter.draw(latents)
        motion.append(moved - began)
        drawing.append(time.thread_time() - moved)
    stream.close()
    motion_ms, drawing_ms = (
        round(float(np.median(taken[FADING_CHUNKS:])) * 1e3, 2) for taken in (motion, drawing)
    )
    return Cost(
        step=saving.label,
        motion_ms=motion_ms,
        drawing_ms=drawing_ms,
        share_of_real_time=round((motion_ms + drawing_ms) * 1e3 / CHUNK_US, 4),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--portrait", default="mara", help="a default avatar")
    parser.add_argument("--chunks", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    studio = MeshStudio(ActorConfig().assets.expanduser())
    face = studio.build((PORTRAITS / f"{options.portrait}.jpg").read_bytes())
    source = choose_motion("diffusion", None, max_sessions=1)
    costs = [measure(source, face, saving, options.chunks) for saving in Saving]
    studio.close()
    report = {
        "machine": machine() | {"torch": torch.__version__},
        "commit": commit(),
        "portrait": options.portrait,
        "steps": [asdict(cost) for cost in costs],
    }
    Console().print_json(data=report)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
