"""Train the paper's ablation table: the full method and each part taken away, on equal budgets.

    python -m actor_server.training.ablations --data DIR --out DIR --minutes 10

Writes a run per row below `--out`, and `ablations.json`: name, weights and what was taken away.
"""

import argparse
import json
from dataclasses import asdict, replace
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
TABLE_NAME: Final = "ablations.json"


def train_ablations(run: Run, geometry: ActorGeometry = NANO) -> Path:
    """Train every row; `run.config` is the full method. Returns the table's path."""
    rows = []
    for ablation in ABLATIONS:
        print(f"ablation: {ablation.name}")
        out = run.out / ablation.name
        train(replace(run, out=out, config=run.config.ablated(ablation)), geometry)
        weights = str(Path(ablation.name) / WEIGHTS_NAME)
        rows.append({"name": ablation.name, "weights": weights, **asdict(ablation)})
    table = run.out / TABLE_NAME
    table.write_text(json.dumps(rows, indent=1) + "\n")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add_run_options(parser)
    print(train_ablations(run_of(parser.parse_args())))


if __name__ == "__main__":
    main()
