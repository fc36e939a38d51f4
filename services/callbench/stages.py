"""Where the time of a call's turns went, from the traces that the gateway keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from services.room_agent.records import BargeIn


@dataclass(frozen=True)
class StageFigures:
    """A stage over all turns, milliseconds."""

    name: str
    label: str
    turns: int
    p50_ms: float
    p95_ms: float


def stage_figures(turns: Sequence[Mapping[str, Any]]) -> list[StageFigures]:
    """Median and 95th percentile of every stage of spoken turns, in the order of time."""
    turns = [turn for turn in turns if not turn["typed"]]
    labels: dict[str, str] = {}
    lengths: dict[str, list[float]] = {}
    for turn in turns:
        for stage in turn["stages"]:
            labels[stage["name"]] = stage["label"]
            lengths.setdefault(stage["name"], []).append(stage["end_ms"] - stage["start_ms"])
    for name, label in (("voice_to_voice", "Voice to voice"), ("voice_to_face", "Voice to face")):
        found = [turn[f"{name}_ms"] for turn in turns if turn[f"{name}_ms"] is not None]
        if found:
            labels[name], lengths[name] = label, found
    return [
        StageFigures(
            name, labels[name], len(found), *(float(v) for v in np.percentile(found, (50, 95)))
        )
        for name, found in lengths.items()
    ]


def traced_barge_ins(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, float | None]]:
    """Every answer that was spoken into, as its agent noted it (`BargeIn`)."""
    return [turn["barge_in"] for turn in turns if turn["barge_in"] is not None]


def after_detection_ms(barge_in: Mapping[str, float | None]) -> float | None:
    """From the agent's detection to silence at the caller, both on the agent's clock."""
    return BargeIn.model_validate(barge_in).after_detection_ms(barge_in["silence_ms"])


def stage_table(figures: Sequence[StageFigures]) -> Table:
    """The same for people."""
    shown = Table("stage", "p50", "p95", "turns", title="Where the time went, as traced")
    for stage in figures:
        shown.add_row(
            stage.label, f"{stage.p50_ms:.0f} ms", f"{stage.p95_ms:.0f} ms", str(stage.turns)
        )
    return shown
