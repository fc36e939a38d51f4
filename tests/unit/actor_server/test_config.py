"""The Actor's configuration comes from XSTREAMER_ACTOR_*."""

import pytest
from pydantic import ValidationError

from actor_server.config import ActorConfig

pytestmark = pytest.mark.unit


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTREAMER_ACTOR_ENDPOINT", "tcp://127.0.0.1:9000")
    monkeypatch.setenv("XSTREAMER_ACTOR_MAX_SESSIONS", "7")
    monkeypatch.setenv("XSTREAMER_ACTOR_CURVE_CLIENT_KEYS", '["a", "b"]')
    config = ActorConfig()
    assert config.endpoint == "tcp://127.0.0.1:9000"
    assert config.max_sessions == 7
    assert config.curve_client_keys == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value"), [("THREADS", "0"), ("IDLE_HOLD_MS", "5000"), ("METRICS_PORT", "70000")]
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"XSTREAMER_ACTOR_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        ActorConfig()


def test_ltx_faces_need_a_transformer_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTREAMER_ACTOR_CODEC", "ltx")
    with pytest.raises(ValidationError, match=r"paper-scale\.md"):
        ActorConfig()
    monkeypatch.setenv("XSTREAMER_ACTOR_WEIGHTS", "/own/actor")
    monkeypatch.setenv("XSTREAMER_ACTOR_ASSETS", "/models")
    assert str(ActorConfig().autoencoder_directory) == "/models/LTX-Video-0.9.5/vae"
    monkeypatch.setenv("XSTREAMER_ACTOR_MOTION", "teacher")
    with pytest.raises(ValidationError, match="moves a mesh"):
        ActorConfig()


def test_speech_is_carried_unless_a_decoder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTREAMER_ACTOR_ASSETS", "/models")
    assert ActorConfig().speech == "carried"
    assert str(ActorConfig().speech_directory) == "/models/glm-4-voice-decoder"
    monkeypatch.setenv("XSTREAMER_ACTOR_SPEECH_WEIGHTS", "/own")
    assert str(ActorConfig().speech_directory) == "/own"
