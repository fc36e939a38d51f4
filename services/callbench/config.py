"""Settings of the caller, from XSTREAMER_CALLBENCH_* environment variables."""

import shutil

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _system_chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), "")


class CallbenchConfig(BaseSettings):
    """Which browser calls, and how it looks."""

    model_config = SettingsConfigDict(env_prefix="XSTREAMER_CALLBENCH_")

    chromium: str = Field(default_factory=_system_chromium)
    viewport_width: int = 1280
    viewport_height: int = 800
