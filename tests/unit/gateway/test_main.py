"""`python -m gateway`."""

from pathlib import Path
from typing import Any

import pytest

from gateway.__main__ import main
from tests.unit.gateway.conftest import KEY, SECRET

pytestmark = pytest.mark.unit


def test_missing_settings_are_named_and_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("XSTREAMER_GATEWAY_LIVEKIT_API_KEY", raising=False)
    assert main() == 2
    error = capsys.readouterr().err
    assert "XSTREAMER_GATEWAY_" in error
    assert "livekit_api_key" in error


def test_it_serves_as_it_is_told_and_never_logs_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    served: dict[str, Any] = {}
    monkeypatch.setattr("gateway.__main__.uvicorn.run", lambda _app, **kw: served.update(kw))
    for name, value in {
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
        "PORT": "9001",
        "DATA_DIR": str(tmp_path / "new" / "data"),
    }.items():
        monkeypatch.setenv(f"XSTREAMER_GATEWAY_{name}", value)
    assert main() == 0
    assert (served["host"], served["port"]) == ("127.0.0.1", 9001)
    assert served["access_log"] is False
    assert served["log_level"] == "warning"
    assert (tmp_path / "new" / "data").is_dir()
