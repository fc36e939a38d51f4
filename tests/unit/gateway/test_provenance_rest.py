"""/.well-known/jwks.json."""

import pytest
from fastapi.testclient import TestClient

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.provenance import ProvenanceKey, statement, verify
from tests.unit.gateway.conftest import LOCAL_URL, FakeChecker, FakeRooms

pytestmark = pytest.mark.unit


def test_the_published_key_verifies_what_the_agents_sign(settings: GatewaySettings):
    key = ProvenanceKey.new()
    told = settings.model_copy(update={"provenance_public_key": key.public_text})
    app = create_app(told, FakeChecker(), FakeRooms())
    with TestClient(app, base_url=LOCAL_URL) as client:
        answer = client.get("/.well-known/jwks.json")
    assert key.text not in answer.text
    stated = statement("call-1", "avatar-1", "mara", ["TR_a"])
    assert verify(key.sign(stated), answer.json(), "call-1", "avatar-1", ["TR_a"]) == stated


def test_without_a_key_none_is_published(client: TestClient):
    assert client.get("/.well-known/jwks.json").json() == {"keys": []}
