"""Settings come from XSTREAMER_GATEWAY_* and contradictions are refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings
from proto.wire.curve import CurveClient
from tests.unit.gateway.conftest import KEY, SECRET

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTREAMER_GATEWAY_LIVEKIT_API_KEY", KEY)
    monkeypatch.setenv("XSTREAMER_GATEWAY_LIVEKIT_API_SECRET", SECRET)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XSTREAMER_GATEWAY_PORT", "9000")
    monkeypatch.setenv("XSTREAMER_GATEWAY_DATA_DIR", str(tmp_path))
    settings = GatewaySettings()
    assert settings.port == 9000
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/gateway.sqlite3"


def test_a_database_address_goes_before_the_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XSTREAMER_GATEWAY_DATABASE_URL", "postgresql://db/calls")
    assert GatewaySettings().resolved_database_url == "postgresql://db/calls"


def test_the_secret_is_not_shown():
    assert SECRET not in repr(GatewaySettings())


def test_credentials_are_required(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XSTREAMER_GATEWAY_LIVEKIT_API_KEY")
    with pytest.raises(ValidationError, match="livekit_api_key"):
        GatewaySettings()


def test_a_certificate_needs_its_key():
    with pytest.raises(ValidationError, match="both tls_cert and tls_key"):
        GatewaySettings(tls_cert=Path("cert.pem"))


def test_agents_elsewhere_need_an_address_for_portraits():
    with pytest.raises(ValidationError, match="internal_url"):
        GatewaySettings(agent_shares_disk=False)


def test_engines_on_this_host_need_no_keys_and_others_get_ours():
    keys = {"curve_public_key": "mine", "curve_secret_key": "secret"}
    settings = GatewaySettings.model_validate(keys)
    assert settings.curve_to("") is None
    assert settings.curve_to("theirs") == CurveClient("mine", "secret", "theirs")


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 0), ("port", 70000), ("max_upload_bytes", 64 * 1024 * 1024), ("room_ttl_s", 1)],
)
def test_values_out_of_range_are_refused(name: str, value: int):
    with pytest.raises(ValidationError, match=name):
        GatewaySettings.model_validate({name: value})
