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
ONE_CARD_SESSIONS: Final = 2
"""What a 24-GB card holds beside both engines' weights (docs/models/glm4voice.md)."""
TINY_CONTEXT_TOKENS: Final = 2048
TINY_REPLY_TOKENS: Final = 120
"""Noise has no end of its own: six seconds of it are enough."""

Say = Callable[[str, str], None]
"""Called with who does something, and what."""


def preset_values(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """Values for the configuration of the Thinker and the Actor."""
    if settings.preset == "nano":
        return {"thinker": {}, "actor": {}}
    if settings.preset == "glm4voice":
        assets, converted = settings.cache_paths.assets, settings.cache / "converted"
        return _glm4voice(converted / LANGUAGE_MODEL, assets)
    tiny = _tiny_folder(settings)
    values = _glm4voice(tiny / LANGUAGE_MODEL, tiny)
    thinker = {
        "glm4voice_device": "cpu",
        "glm4voice_context_tokens": TINY_CONTEXT_TOKENS,
        "glm4voice_max_reply_tokens": TINY_REPLY_TOKENS,
    }
    return {
        "thinker": values["thinker"] | thinker,
        "actor": values["actor"] | {"speech_device": "cpu"},
    }


def _glm4voice(model: Path, folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "thinker": {
            "backend": "glm4voice",
            "glm4voice_model": model,
            "glm4voice_speech_tokenizer": folder / SPEECH_TOKENIZER,
            "max_sessions": ONE_CARD_SESSIONS,
        },
        "actor": {"speech": "glm4voice", "speech_weights": folder / SPEECH_DECODER},
    }


def prepare(settings: Settings, say: Say) -> None:
    """Have what the preset's engines will open; nothing is fetched here.

    Raises: SettingsError, which says what is missing and how to get it.
    """
    if not {"thinker", "actor"} & {*settings.only}:
        return
    if settings.preset == "tiny-glm":
        _write_tiny_models(settings, say)
    elif settings.preset == "glm4voice" and (problem := missing_weights(settings)):
        raise SettingsError(problem)


def missing_weights(settings: Settings) -> str | None:
    """Which directory preset glm4voice would not find, and how to get it; None: all are there."""
    values = preset_values(settings)
    tables = {"thinker": settings.thinker.given(), "actor": settings.actor.given()}
    wanted = {
        ("thinker", "glm4voice_model"): "xstreamer weights pull, then xstreamer weights convert",
        ("thinker", "glm4voice_speech_tokenizer"): "xstreamer weights pull",
        ("actor", "speech_weights"): "xstreamer weights pull",
    }
    for (process, key), command in wanted.items():
        folder = Path(tables[process].get(key) or values[process][key]).expanduser()
        if not folder.is_dir():
            return (
                f"preset glm4voice needs {folder}: get it with `{command}`, or name another "
                f"directory with `{key}` in [{process}] of xstreamer.toml"
            )
    return None


def _tiny_folder(settings: Settings) -> Path:
    return settings.cache / "tiny-glm"


def _write_tiny_models(settings: Settings, say: Say) -> None:
    """Random models, made once, each by the engine whose they are."""
    folder = _tiny_folder(settings)
    decoder = folder / SPEECH_DECODER
    makers = {  # by what each writes last
        decoder / "geometry.json": ("actor_server.speech.tiny", decoder),
        folder / LANGUAGE_MODEL: ("thinker_server.glm4voice.tiny", folder),
    }
    for made, (module, out) in makers.items():
        if made.exists():
            continue
        say("models", f"making tiny random ones in {out}")
        command = [sys.executable, "-m", module, "--out", str(out)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SettingsError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
