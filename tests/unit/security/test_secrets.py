"""Settings that are wrong are named in the log; secrets among them are not."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.supervisor.known_settings import config_class

pytestmark = pytest.mark.unit

SECRET = "what-nobody-may-read"
WRONG: dict[str, dict[str, Any]] = {
    "thinker": {"curve_secret_key": SECRET, "metrics_port": SECRET},
    "actor": {"curve_secret_key": SECRET, "metrics_port": SECRET},
    "gateway": {"livekit_api_secret": SECRET, "livekit_api_key": "k", "port": SECRET},
    "agent": {"livekit_api_secret": SECRET, "livekit_api_key": "k", "health_port": SECRET},
}


@pytest.mark.parametrize("process", WRONG)
def test_a_wrong_setting_is_named_without_its_value(process: str) -> None:
    with pytest.raises(ValidationError, match="port") as refused:
        config_class(process)(**WRONG[process])
    assert SECRET not in str(refused.value)
