"""How many calls the agent of this machine may hold."""

from typing import Final

from services.settings import ProcessName, Settings, SettingsError, Table
from services.supervisor.known_settings import config_class
from services.supervisor.presets import preset_values

LIMITS: Final[dict[ProcessName, str]] = {
    "agent": "max_calls",
    "thinker": "max_sessions",
    "actor": "max_sessions",
}


def places(settings: Settings) -> int:
    """No more than the engines beside it have sessions; those elsewhere are a person's to know.

    Raises: SettingsError.
    """
    return min(_limit(settings, name) for name in LIMITS if name in settings.only)


def _limit(settings: Settings, process: ProcessName) -> int:
    """What the process will read: set by a person, else by the preset, else its own default."""
    key = LIMITS[process]
    table: Table = getattr(settings, process)
    default = config_class(process).model_fields[key].default
    value = {key: default, **preset_values(settings).get(process, {}), **table.given()}[key]
    try:
        return int(value)
    except (TypeError, ValueError):
        raise SettingsError(f"[{process}] {key} is {value!r}: write a whole number") from None
