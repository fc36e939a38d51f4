"""A preset has its models before anything starts, or says how to get them."""

from pathlib import Path

import pytest

from actor_server.codec.ltx.codec import LtxCodec
from actor_server.weights import load_actor
from services.settings import Settings, SettingsError
from services.supervisor.presets import prepare, preset_values

pytestmark = pytest.mark.unit


def settings(folder: Path, preset: str, **tables: dict[str, str]) -> Settings:
    return Settings(data=folder, cache=folder, preset=preset, **tables)  # type: ignore[arg-type]


def test_preset_nano_needs_nothing(tmp_path: Path) -> None:
    prepare(settings(tmp_path, "nano"), lambda who, what: None)
    assert not list(tmp_path.iterdir())


def test_missing_weights_are_named_with_the_commands_that_bring_them(tmp_path: Path) -> None:
    wanted = settings(tmp_path, "glm4voice")
    with pytest.raises(SettingsError, match=r"glm-4-voice-9b.*xstreamer weights convert"):
        prepare(wanted, lambda who, what: None)
    (tmp_path / "converted" / "glm-4-voice-9b").mkdir(parents=True)
    (tmp_path / "assets" / "glm-4-voice-tokenizer").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"glm-4-voice-decoder.*`xstreamer weights pull --"):
        prepare(wanted, lambda who, what: None)
    (tmp_path / "assets" / "glm-4-voice-decoder").mkdir()
    prepare(wanted, lambda who, what: None)


def test_weights_may_lie_where_a_user_says(tmp_path: Path) -> None:
    thinker = {"glm4voice_model": str(tmp_path), "glm4voice_speech_tokenizer": str(tmp_path)}
    actor = {"speech_weights": str(tmp_path)}
    wanted = settings(tmp_path, "glm4voice", thinker=thinker, actor=actor)
    prepare(wanted, lambda who, what: None)


def test_the_papers_size_needs_its_video_half_too(tmp_path: Path) -> None:
    wanted = settings(tmp_path, "glm4voice-18b")
    for folder in ("converted/glm-4-voice-9b", "assets/glm-4-voice-tokenizer"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "assets" / "glm-4-voice-decoder").mkdir()
    with pytest.raises(SettingsError, match=r"LTX-Video.*pull --preset glm4voice-18b`"):
        prepare(wanted, lambda who, what: None)
    (tmp_path / "assets" / "LTX-Video-0.9.5" / "vae").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"actor-9b.*paper-scale\.md"):
        prepare(wanted, lambda who, what: None)
    (tmp_path / "converted" / "actor-9b").mkdir()
    prepare(wanted, lambda who, what: None)


def test_tiny_models_are_made_once(tmp_path: Path) -> None:
    said: list[str] = []
    for preset, models in (("tiny-glm", 2), ("tiny-18b", 4), ("tiny-18b", 4), ("tiny-glm", 4)):
        prepare(settings(tmp_path, preset), lambda who, what: said.append(what))
        assert len(said) == models
    values = preset_values(settings(tmp_path, "tiny-18b"))
    assert Path(values["thinker"]["glm4voice_model"]).is_dir()
    assert Path(values["thinker"]["glm4voice_speech_tokenizer"]).is_dir()
    assert (Path(values["actor"]["speech_weights"]) / "flow.pt").is_file()
    model, sampler = load_actor(values["actor"]["weights"])
    codec = LtxCodec.from_directory(values["actor"]["autoencoder"])
    assert (model.geometry.tokens, model.geometry.latent_dim) == codec.space.token_shape
    assert sampler.steps > 1
