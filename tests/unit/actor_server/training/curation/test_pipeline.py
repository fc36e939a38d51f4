"""Clips fall where they should, for reasons that are kept; nothing is done twice without need."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from actor_server.training.curation.__main__ import plan_of
from actor_server.training.curation.clip import Clip, clips_of
from actor_server.training.curation.criteria import Bound
from actor_server.training.curation.pipeline import (
    FolderUnusable,
    Plan,
    StepReport,
    StepRun,
    Worker,
    curate,
)
from actor_server.training.curation.steps import STEPS
from tests.unit.actor_server.training.curation.footage import (
    CHINESE_HZ,
    FRENCH_HZ,
    HUM_HZ,
    SOUND_HZ,
    Shot,
    write_video,
)

pytestmark = pytest.mark.unit

STANDINS = "tests.unit.actor_server.training.curation.standins"
TABLES = f"""
[criteria]
shortest_s = 1.5
longest_s = 4
[lip_sync]
use = "{STANDINS}:MouthAndVoice"
[people]
use = "{STANDINS}:RedDiscs"
[faces]
use = "{STANDINS}:RedDiscs"
[quality]
use = "{STANDINS}:Sharpness"
[text]
use = "{STANDINS}:WhiteWriting"
[sound]
use = "{STANDINS}:HumFilter"
[transcript]
use = "{STANDINS}:PitchAsLanguage"
[latents]
use = "{STANDINS}:Paper"
"""
SHOTS = {
    "good/english.mkv": [Shot(2.0), Shot(1.0, tint=1), Shot(2.0, tint=2, in_sync=False)],
    "good/chinese.mkv": [Shot(2.0, voice_hz=CHINESE_HZ, begins_s=0.8), Shot(2.0, 1, people=2)],
    "b.mkv": [Shot(2.0, blurred=True), Shot(2.0, tint=1, caption="subscribe")],
    "c.mkv": [Shot(2.0, voice_hz=FRENCH_HZ), Shot(2.0, tint=1, turned_away=True)],
}
FALLEN = {
    "scenes": {"broken-0", "english-50"},
    "lip_sync": {"english-75"},
    "people": {"chinese-50"},
    "faces": {"c-50"},
    "quality": {"b-0"},
    "text": {"b-50"},
    "sound": set(),
    "transcript": {"c-0"},
    "latents": set(),
}


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, shots in SHOTS.items():
        write_video(folder / name, shots)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def finished(
    videos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[StepReport]]:
    """A whole run's folder and reports."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "models.toml").write_text(TABLES)
    plan = plan_of(videos, folder / "out", "finetune", folder / "models.toml")
    return plan.out, list(curate(plan, here))


@pytest.fixture
def done(plan: Plan, finished: tuple[Path, list[StepReport]]) -> Plan:
    """A plan that was carried out."""
    shutil.copytree(finished[0], plan.out)
    return plan


@pytest.fixture
def plan(videos: Path, tmp_path: Path) -> Plan:
    (tmp_path / "models.toml").write_text(TABLES)
    return plan_of(videos, tmp_path / "out", "finetune", tmp_path / "models.toml")


def here(run: StepRun, tables: list[pa.Table]) -> Iterator[pa.Table]:
    """A Spread in this process."""
    return map(Worker(run), tables)


def rows(plan: Plan, step: str) -> list[Clip]:
    return clips_of(pq.read_table(plan.out / step / "rows.parquet"))


def short(clip: Clip) -> str:
    """The video, and the clip's first frame."""
    return f"{Path(clip.video).stem}-{clip.first_frame}"


def fresh(reports: list[StepReport]) -> list[str]:
    return [report.step for report in reports if report.fresh]


def test_clips_fall_where_their_fault_is_and_keep_what_was_measured(
    done: Plan, finished: tuple[Path, list[StepReport]]
) -> None:
    plan, reports = done, finished[1]
    names = [step.name for step in STEPS]
    assert [report.step for report in reports] == names == fresh(reports)
    fallen = {name: {short(c) for c in rows(plan, name) if c.rejected} for name in names}
    assert fallen == FALLEN
    assert {short(clip) for clip in rows(plan, "latents")} == {"english-0", "chinese-0"}
    assert [report.entered - report.kept for report in reports] == [2, 1, 1, 1, 1, 1, 0, 1, 0]
    assert reports[-1].kept_hours == pytest.approx(4 / 3600)

    def one(step: str) -> Clip:
        (clip,) = (clip for clip in rows(plan, step) if clip.rejected)
        return clip

    reasons = [clip.rejected for clip in rows(plan, "scenes") if clip.rejected]
    assert any("broken.mp4 cannot be read" in str(reason) for reason in reasons)
    assert "1.00 s long, shortest is 1.5 s" in reasons
    sync, faces, sharp = one("lip_sync"), one("faces"), one("quality")
    assert sync.lip_sync is not None
    assert sync.rejected == f"lip_sync {sync.lip_sync:.4g} is not >= 5"
    assert one("people").people == 2
    assert faces.face_share == 0.6  # of ten pictures, until the middle of the shot
    assert sharp.quality is not None
    assert 0 < sharp.quality < 70
    assert one("text").text is not None
    assert one("transcript").rejected == "language fr is none of en, zh"
    assert one("transcript").transcript == f"a tone of {FRENCH_HZ} hertz"


def test_a_clip_that_passes_carries_what_later_steps_need(done: Plan) -> None:
    english, chinese = sorted(rows(done, "latents"), key=lambda clip: clip.language != "en")
    assert (english.language, chinese.language) == ("en", "zh")
    assert (english.first_frame, english.frames) == (0, 50)
    assert english.sound_file is not None
    speech, rate = soundfile.read(english.sound_file)
    assert (rate, len(speech)) == (SOUND_HZ, 2 * SOUND_HZ)
    assert np.abs(speech - Shot(2.0).sound()).max() < 0.3
    spectrum = np.abs(np.fft.rfft(speech))
    assert spectrum[2 * HUM_HZ] < 0.01 * spectrum.max()
    face = next(english.faces(100))
    red = (face[..., 0] > 150) & (face[..., 1] < 100)
    assert 0.4 < np.ptp(np.flatnonzero(red.any(1))) / 100 < 0.5
    assert 45 < np.flatnonzero(red.any(0)).mean() < 55


def test_a_second_run_does_nothing(done: Plan) -> None:
    reports = list(curate(done, nobody))
    assert fresh(reports) == []
    assert [report.kept for report in reports] == [8, 7, 6, 5, 4, 3, 3, 2, 2]


def test_an_interrupted_run_goes_on_with_the_step_it_was_in(plan: Plan) -> None:
    def until_text(run: StepRun, tables: list[pa.Table]) -> Iterator[pa.Table]:
        if run.step == "text":
            (run.folder / "half.txt").write_text("half a step")
            yield here(run, tables[:1]).__next__().slice(0, 1)
            raise KeyboardInterrupt
        yield from here(run, tables)

    with pytest.raises(KeyboardInterrupt):
        list(curate(plan, until_text))
    reports = list(curate(plan, here))
    assert fresh(reports) == ["text", "sound", "transcript", "latents"]
    assert not (plan.out / "text" / "half.txt").exists()
    assert reports[-1].kept == 2


@pytest.mark.parametrize(
    ("change", "first", "kept"),
    [
        ({"quality": Bound(">=", 0)}, "quality", 3),
        ({"languages": ("en",)}, "transcript", 1),
        ({"shortest_s": 0.5}, "scenes", 3),
    ],
)
def test_a_changed_criterion_renews_its_step_and_all_after_it(
    done: Plan, change: dict[str, object], first: str, kept: int
) -> None:
    reports = list(curate(replace(done, criteria=replace(done.criteria, **change)), here))
    names = [step.name for step in STEPS]
    assert fresh(reports) == names[names.index(first) :]
    assert reports[-1].kept == kept


def test_what_is_stale_is_gone_before_anything_is_done_anew(done: Plan) -> None:
    plan = replace(done, criteria=replace(done.criteria, quality=Bound(">=", 0)))
    with pytest.raises(AssertionError, match="quality was done again"):
        list(curate(plan, nobody))
    assert (done.out / "faces" / "done.json").is_file()
    assert not (done.out / "text").exists()
    assert not (done.out / "latents").exists()


def test_another_model_behind_the_same_name_renews_its_step(done: Plan, tmp_path: Path) -> None:
    model = tmp_path / "quality.onnx"
    model.write_bytes(b"one")
    arguments = {"model": str(model)}
    sharp = replace(done.judges["quality"], use=f"{STANDINS}:SharpnessOf", arguments=arguments)
    plan = replace(done, judges=done.judges | {"quality": sharp})
    assert fresh(list(curate(plan, here)))[0] == "quality"
    assert fresh(list(curate(plan, nobody))) == []
    model.write_bytes(b"another")
    assert fresh(list(curate(plan, here)))[0] == "quality"


def test_another_video_renews_everything_and_processes_do_not(plan: Plan, tmp_path: Path) -> None:
    footage = tmp_path / "more"
    write_video(footage / "a.mkv", [Shot(2.0)])
    plan = replace(plan, videos=footage)
    list(curate(plan, here))
    busier = {name: replace(table, processes=3) for name, table in plan.judges.items()}
    assert fresh(list(curate(replace(plan, judges=busier), nobody))) == []
    write_video(footage / "b.mkv", [Shot(2.0)])
    reports = list(curate(plan, here))
    assert len(fresh(reports)) == len(STEPS)
    assert reports[-1].kept == 2


def test_folders_that_would_lose_something_are_refused(plan: Plan, tmp_path: Path) -> None:
    plan.out.mkdir()
    (plan.out / "diary.txt").write_text("mine")
    with pytest.raises(FolderUnusable, match="holds other files: name a folder that is empty"):
        list(curate(plan, here))
    (tmp_path / "none").mkdir()
    with pytest.raises(FolderUnusable, match="holds no videos"):
        list(curate(replace(plan, videos=tmp_path / "none"), here))


def test_the_run_says_how_its_clips_were_chosen(done: Plan) -> None:
    facts = json.loads((done.out / "curation.json").read_text())
    assert facts["criteria"]["lip_sync"] == ">= 5"
    assert facts["judges"]["people"]["use"] == f"{STANDINS}:RedDiscs"


def nobody(run: StepRun, tables: list[pa.Table]) -> Iterator[pa.Table]:
    raise AssertionError(f"{run.step} was done again")
