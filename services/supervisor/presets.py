"""What a preset tells the engines, before the tables of xstreamer.toml have their say."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from services.paths import REPOSITORY
from services.settings import Settings, SettingsError

LANGUAGE_MODEL: Final = "glm-4-voice-9b"
SPEECH_TOKENIZER: Final = "glm-4-voice-tokenizer"
SPEECH_DECODER: Final = "glm-4-voice-decoder"
AUTOENCODER: Final = "LTX-Video-0.9.5/vae"
AUTOENCODER_WEIGHTS: Final = "diffusion_pytorch_model.safetensors"
ACTOR: Final = "actor-9b"
ONE_CARD_SESSIONS: Final = 2
"""What a 24-GB card holds beside both engines' weights (docs/models/glm4voice.md)."""
TINY_CONTEXT_TOKENS: Final = 2048
TINY_REPLY_TOKENS: Final = 120
"""Noise has no end of its own: six seconds of it are enough."""

Say = Callable[[str, str], None]
"""Called with who does something, and what."""


def preset_values(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """Values for the configuration of the Thinker and the Actor."""
    assets, converted = settings.cache_paths.assets, settings.cache / "converted"
    match settings.preset:
        case "nano":
            return {"thinker": {}, "actor": {}}
        case "glm4voice":
            few = {"max_sessions": ONE_CARD_SESSIONS}
            return _merged(_glm4voice(converted / LANGUAGE_MODEL, assets), few, {})
        case "glm4voice-18b":
            return _merged(
                _glm4voice(converted / LANGUAGE_MODEL, assets),
                {"glm4voice_states": True},
                _ltx(converted / ACTOR, assets / AUTOENCODER) | {"dtype": "bfloat16"},
            )
        case "tiny-glm":
            return _tiny(_tiny_glm_folder(settings))
    tiny = _tiny(_tiny_glm_folder(settings))
    folder = _tiny_18b_folder(settings)
    ltx = _ltx(folder / ACTOR, folder / AUTOENCODER) | {"device": "cpu"}
    return _merged(tiny, {"glm4voice_states": True}, ltx)


def _merged(
    values: Mapping[str, Mapping[str, Any]], thinker: Mapping[str, Any], actor: Mapping[str, Any]
) -> Mapping[str, Mapping[str, Any]]:
    return {"thinker": {**values["thinker"], **thinker}, "actor": {**values["actor"], **actor}}


def _glm4voice(model: Path, folder: Path) -> Mapping[str, Mapping[str, Any]]:
    return {
        "thinker": {
            "backend": "glm4voice",
            "glm4voice_model": model,
            "glm4voice_speech_tokenizer": folder / SPEECH_TOKENIZER,
        },
        "actor": {"speech": "glm4voice", "speech_weights": folder / SPEECH_DECODER},
    }


def _ltx(weights: Path, autoencoder: Path) -> dict[str, Any]:
    return {"codec": "ltx", "weights": weights, "autoencoder": autoencoder}


def _tiny(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    thinker = {
        "glm4voice_device": "cpu",
        "glm4voice_context_tokens": TINY_CONTEXT_TOKENS,
        "glm4voice_max_reply_tokens": TINY_REPLY_TOKENS,
        "max_sessions": ONE_CARD_SESSIONS,
    }
    values = _glm4voice(folder / LANGUAGE_MODEL, folder)
    return _merged(values, thinker, {"speech_device": "cpu"})


def prepare(settings: Settings, say: Say) -> None:
    """Have what the preset's engines will open; nothing is fetched here.

    Raises: SettingsError, which says what is missing and how to get it.
    """
    if not {"thinker", "actor"} & {*settings.only}:
        return
    if settings.preset in ("tiny-glm", "tiny-18b"):
        _write_tiny_models(settings, say)
    if problem := missing_weights(settings):
        raise SettingsError(problem)


PULL: Final = "`xstreamer weights pull --preset {preset}`"
CONVERT: Final = f"{PULL}, then `xstreamer weights convert`"
TRAIN: Final = "the commands in docs/models/paper-scale.md"
_GLM_NEEDS: Final = {
    ("thinker", "glm4voice_model"): CONVERT,
    ("thinker", "glm4voice_speech_tokenizer"): PULL,
    ("actor", "speech_weights"): PULL,
}
NEEDS: Final[Mapping[str, Mapping[tuple[str, str], str]]] = {
    "glm4voice": _GLM_NEEDS,
    "glm4voice-18b": {
        **_GLM_NEEDS,
        ("actor", "autoencoder"): PULL,
        ("actor", "weights"): TRAIN,
    },
}
"""What a preset's engines open, by process and setting, and how to get it."""


def missing_weights(settings: Settings) -> str | None:
    """What the preset's engines would not find, and how to get it; None: all is there."""
    values = preset_values(settings)
    tables = {"thinker": settings.thinker.given(), "actor": settings.actor.given()}
    for (process, key), how in NEEDS.get(settings.preset, {}).items():
        place = Path(tables[process].get(key) or values[process][key]).expanduser()
        if not place.exists():
            return (
                f"preset {settings.preset} needs {place}: get it with "
                f"{how.format(preset=settings.preset)}, or name another place with `{key}` in "
                f"[{process}] of xstreamer.toml"
            )
    return None


def _tiny_glm_folder(settings: Settings) -> Path:
    return settings.cache / "tiny-glm"


def _tiny_18b_folder(settings: Settings) -> Path:
    return settings.cache / "tiny-18b"


def _write_tiny_models(settings: Settings, say: Say) -> None:
    """Random models, made once, each by the engine whose they are."""
    glm, paper = _tiny_glm_folder(settings), _tiny_18b_folder(settings)
    decoder, model = glm / SPEECH_DECODER, glm / LANGUAGE_MODEL
    makers: dict[Path, tuple[str, ...]] = {  # by what each writes last
        decoder / "geometry.json": ("actor_server.speech.tiny", "--out", str(decoder)),
        model: ("thinker_server.glm4voice.tiny", "--out", str(glm)),
    }
    if settings.preset == "tiny-18b":
        autoencoder, actor = paper / AUTOENCODER, paper / ACTOR
        makers |= {
            autoencoder / AUTOENCODER_WEIGHTS: (
                "actor_server.codec.ltx.tiny",
                "--out",
                str(autoencoder),
            ),
            actor: ("actor_server.tiny", "--language-model", str(model), "--out", str(actor)),
        }
    for made, command in makers.items():
        if made.exists():
            continue
        say("models", f"making tiny random ones in {made.relative_to(settings.cache)}")
        _run([sys.executable, "-m", *command])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SettingsError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
