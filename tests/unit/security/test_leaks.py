"""A secret that a log tells is found, whoever wrote it."""

from pathlib import Path

import pytest
from livekit import api

from tests.leaks import leaks

pytestmark = pytest.mark.unit

TOKEN = api.AccessToken("key", "a-secret-of-at-least-32-characters").to_jwt()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"GET /rtc?access_token={TOKEN}&protocol=16 200", "a token"),
        (f"Authorization: Bearer xs_{'a-B_9' * 9}", "an API key"),
        ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
        ("{'api_secret': 'what-signs-tokens'}", "LiveKit's secret"),
    ],
)
def test_a_secret_in_a_log_is_named_with_its_file(line: str, what: str, tmp_path: Path) -> None:
    logs = [tmp_path / "agent.log", tmp_path / "livekit.log"]
    logs[0].write_text("INFO a call began call=xs-1234\n")
    logs[1].write_text(f"INFO a call began\n{line}\n")
    assert leaks(logs, {"LiveKit's secret": "what-signs-tokens"}) == [f"livekit.log: {what}"]
