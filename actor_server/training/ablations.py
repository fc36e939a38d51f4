"""Train the paper's ablation table: the full method and each part taken away, on equal budgets.

    python -m actor_server.training.ablations --data DIR --out DIR --steps 1200

Writes a run per row below `--out`, and its weights into `full.safetensors` and `ablated/`, as the
evaluation's `--weights` and `--ablations` take them.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from actor_server.model.geometry import NANO, ActorGeometry
from actor_server.training.config import Ablation
from actor_server.training.train import WEIGHTS_NAME, Run, add_run_options, run_of, train

ABLATIONS: Final = (
    Ablation(),
    Ablation(teacher_forcing=True),
    Ablation(no_reference=True),
    Ablation(token_causal=True),
)
ABLATED: Final = "ablated"


def train_ablations(run: Run, geometry: ActorGeometry = NANO) -> list[Path]:
    """Train every row; `run.config` is the full method. Returns the rows' weights."""
    (run.out / ABLATED).mkdir(parents=True, exist_ok=True)
    rows = []
    for ablation in ABLATIONS:
        print(f"ablation: {ablation.name}")
        out = run.out / "runs" / ablation.name
        train(replace(run, out=out, config=run.config.ablated(ablation)), geometry)
        folder = run.out if ablation == Ablation() else run.out / ABLATED
        rows.append(folder / f"{ablation.name}.safetensors")
        shutil.copyfile(out / WEIGHTS_NAME, rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add_run_options(parser)
    for weights in train_ablations(run_of(parser.parse_args())):
        print(weights)


if __name__ == "__main__":
    main()
