"""Every step on a real Ray of this machine; what fails there is told, and the run goes on."""

import os
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from actor_server.training.curation.__main__ import plan_of
from actor_server.training.curation.judges import ModelsUnusable
from actor_server.training.curation.on_ray import OnRay, StepFailed
from actor_server.training.curation.pipeline import curate
from actor_server.training.curation.steps import STEPS
from tests.unit.actor_server.training.curation.footage import Shot, write_video
from tests.unit.actor_server.training.curation.test_pipeline import TABLES, fresh

pytestmark = pytest.mark.unit

HOLD_THEIR_JUDGE = ("lip_sync", "latents")


def test_steps_run_on_ray_and_a_run_that_failed_goes_on(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "a.mkv", [Shot(1.5), Shot(1.5, tint=1, in_sync=False)])
    write_video(tmp_path / "videos" / "b.mkv", [Shot(1.5, tint=2, caption="hello")])
    (tmp_path / "models.toml").write_text(TABLES)
    plan = plan_of(tmp_path / "videos", tmp_path / "out", "finetune", tmp_path / "models.toml")
    judges = {
        name: replace(table, processes=int(name in HOLD_THEIR_JUDGE))
        for name, table in plan.judges.items()
    }
    plan = replace(plan, judges=judges)
    thirsty = replace(judges["text"], use=judges["text"].use.replace("WhiteWriting", "Thirsty"))
    greedy = replace(judges["text"], gpus=64)
    others = set(psutil.Process().children(recursive=True))
    with OnRay(cpus=2) as ray:
        with pytest.raises(StepFailed) as failed:
            list(curate(replace(plan, judges=judges | {"text": thirsty}), ray))
        reason = "step text: RuntimeError: no words for (120, 160, 3)"
        assert str(failed.value) == reason
        with pytest.raises(ModelsUnusable, match=r"\[text\] gpus = 64, but Ray has \d+ GPUs"):
            list(curate(replace(plan, judges=judges | {"text": greedy}), ray))
        reports = list(curate(plan, ray))
        helpers = set(psutil.Process().children(recursive=True)) - others
        assert any("raylet" in helper.name() for helper in helpers)
    assert fresh(reports) == ["text", "sound", "transcript", "latents"]
    assert [report.kept for report in reports] == [3, 2, 2, 2, 2, 1, 1, 1, 1]
    (clip,) = pq.read_table(tmp_path / "out" / "latents" / "rows.parquet").to_pylist()
    assert (clip["video"], clip["language"]) == (str(tmp_path / "videos" / "a.mkv"), "en")
    assert len(reports) == len(STEPS)
    psutil.wait_procs([*helpers], timeout=10)
    assert not [helper for helper in helpers if helper.is_running() and helper.pid != os.getpid()]
