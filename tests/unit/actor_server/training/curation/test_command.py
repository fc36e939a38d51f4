"""The command: generated footage becomes a dataset that training reads; bad input is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actor_server.codec.ltx.checkpoint import save_autoencoder
from actor_server.codec.ltx.tiny import TINY, random_autoencoder
from actor_server.training.curation import __main__
from actor_server.training.curation.on_ray import StepFailed
from actor_server.training.curation.pipeline import Spread
from actor_server.training.initialise import geometry_like, read_config
from actor_server.training.latent_crops import LatentClips
from actor_server.training.latent_store import LatentIndex
from tests.unit.actor_server.training.curation.footage import Shot, write_video
from tests.unit.actor_server.training.curation.test_pipeline import TABLES, here
from thinker_server.glm4voice.tiny import write_tiny_models

pytestmark = pytest.mark.unit

Run = Callable[..., tuple[int, str, str]]


class Here:
    """Stands in for OnRay, which has a test of its own: workers run in this process."""

    def __init__(self, cpus: int | None, address: str | None) -> None:
        assert (cpus, address) == (2, None)

    def __enter__(self) -> Spread:
        return here

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command with some text in its TOML file; exit code, output and complaints."""
    (tmp_path / "videos").mkdir()
    monkeypatch.setattr(__main__, "OnRay", Here)

    def command(text: str, **places: Path) -> tuple[int, str, str]:
        (tmp_path / "models.toml").write_text(text)
        names = {"videos": tmp_path / "videos", "out": tmp_path / "out"}
        names |= {"models": tmp_path / "models.toml"} | places
        options = [part for name, place in names.items() for part in (f"--{name}", str(place))]
        code = __main__.main([*options, "--for", "finetune", "--cpus", "2"])
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


def test_clips_become_a_dataset_that_training_reads(run: Run, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    write_video(videos / "a.mkv", [Shot(1.5), Shot(1.5, tint=1, in_sync=False)])
    write_video(videos / "b.mkv", [Shot(1.5, people=2), Shot(1.5, tint=2, caption="hello")])
    save_autoencoder(tmp_path / "vae", random_autoencoder(TINY))
    glm = write_tiny_models(tmp_path / "glm", codes=64)
    real = f"""
[latents]
autoencoder = "{tmp_path / "vae"}"
[latents.states]
use = "thinker_server.glm4voice.clip_states:ClipStates"
language_model = "{glm.model}"
speech_tokenizer = "{glm.speech_tokenizer}"
device = "cpu"
dtype = "float32"
"""
    tables = TABLES[: TABLES.index("[latents]")] + real
    code, told, complaint = run(tables)
    assert (code, complaint) == (0, "")
    assert numbers(told) == {
        "scenes": ("4", "0", "4", ""),
        "lip_sync": ("4", "1", "3", ""),
        "people": ("3", "1", "2", ""),
        "faces": ("2", "0", "2", ""),
        "quality": ("2", "0", "2", ""),
        "text": ("2", "1", "1", ""),
        "sound": ("1", "0", "1", ""),
        "transcript": ("1", "0", "1", ""),
        "latents": ("1", "0", "1", ""),
    }
    index = LatentIndex.read(tmp_path / "out" / "latents")
    assert (index.clips, index.languages) == (1, {"en": 1})
    assert index.seconds == 4 * 0.32  # 1 + 32 of its 38 pictures
    assert index.recipe["criteria"]["lip_sync"] == ">= 5"
    clips = LatentClips(tmp_path / "out" / "latents", geometry_like(read_config(glm.model)))
    crop = clips.crop(0, 0, 10)
    assert (crop.latents.shape, crop.reference.shape) == ((4, 64, 128), (64, 128))
    assert crop.conditions["audio_seen"].any()
    assert crop.conditions["text_seen"].sum(1).tolist() == [13] * 4

    code, told, _ = run(tables)
    assert code == 0
    assert {row[3] for row in numbers(told).values()} == {"done before"}


def test_a_run_without_clips_left_and_one_that_fails_say_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "videos" / "a.mkv", [Shot(1.5, in_sync=False)])
    code, told, complaint = run(TABLES)
    assert (code, complaint) == (1, "")
    assert numbers(told)["latents"] == ("0", "0", "0", "")

    def fails(*_: object) -> None:
        raise StepFailed("step scenes: out of luck")

    monkeypatch.setattr(Here, "__enter__", lambda _: fails)
    code, _, complaint = run(TABLES.replace("1.5", "1.4"))
    assert code == 1
    assert complaint == (
        "step scenes: out of luck\nrun the same command again to go on from there\n"
    )


def numbers(told: str) -> dict[str, tuple[str, ...]]:
    """Of each step in the table: clips, rejected, kept, and what is noted."""
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines()]
    return {row[0]: (*row[1:4], row[5]) for row in table if len(row) == 6}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[lipsync]", "has a table [lipsync]; there are scenes, lip_sync"),
        ("lip_sync = 3", "lip_sync must be a table, [lip_sync]"),
        ("[people", "models.toml cannot be read"),
        ("[criteria]\nquality = 'good'", "'good' is no bound: write > 3.5"),
        ("[people]\nuse = 'Yolo'", "[people] use = 'Yolo', must be package.module:Class"),
        ("[people]\nprocesses = -1", "[people] processes = -1, must be a number from 0 on"),
        ("[people]\ngpus = 'all'", "[people] gpus = 'all', must be a number from 0 on"),
        ("", "videos holds no videos (.mpg, .mp4"),
    ],
)
def test_bad_input_is_told_without_starting_anything(run: Run, text: str, complaint: str) -> None:
    code, _, told = run(text)
    assert code == 2
    assert complaint in told


def test_a_file_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    code, _, told = run("", models=tmp_path / "none.toml")
    assert code == 2
    assert "none.toml cannot be read" in told
