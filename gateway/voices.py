"""The voices that an avatar may have, from package data."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter


class Voice(BaseModel):
    """One voice: `id` is what avatars carry, the rest helps people to choose."""

    model_config = ConfigDict(frozen=True)

    id: str
    label: str
    gender: Literal["woman", "man"]
    accent: str
    engine: str


@cache
def voices() -> Mapping[str, Voice]:
    """All voices by id, in the order in which they are offered."""
    text = (files("gateway") / "data" / "voices.json").read_text("utf-8")
    found = TypeAdapter(list[Voice]).validate_python(json.loads(text))
    return {voice.id: voice for voice in found}
