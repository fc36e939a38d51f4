"""The connections that agents hold as long as they live."""

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from gateway.deps import Services
from gateway.lifelines import Agent
from services.room_agent.announcement import Announcement
from services.room_agent.gateway_line import signature
from services.room_agent.lifeline import claim
from tests.unit.gateway.turn_reports import ADDRESS

pytestmark = pytest.mark.unit

PATH = "/api/calls/room-1/lifeline?identity=avatar-1"
AGENT = Agent("room-1", "avatar-1")


def signed() -> dict[str, str]:
    """The headers of the agent's request; its signature holds for five minutes."""
    return {"Authorization": signature(ADDRESS, claim("room-1", "avatar-1"))}


def test_an_agent_lives_as_long_as_its_line_and_may_end_it(client: TestClient, services: Services):
    with client.websocket_connect(PATH, headers=signed()) as line:
        line.send_text("what is said is ignored")
        line.send_bytes(b"whatever it is")
        assert services.lifelines.lives(AGENT)
        assert services.lifelines.someone_lives("room-1")
        line.close(1000)
    assert not services.lifelines.someone_lives("room-1")
    assert services.lifelines.broken.empty()


@pytest.mark.parametrize(("code", "dead"), [(1005, True), (1006, True), (1011, False)])
def test_a_line_that_breaks_without_a_word_is_told_to_the_watchdog(
    client: TestClient, caplog: pytest.LogCaptureFixture, code: int, dead: bool
):
    with client.websocket_connect(PATH, headers=signed()) as line:
        line.close(code)
    assert ("lifeline broke" in caplog.text) is dead


def test_a_worker_that_comes_is_counted_and_nobody_can_claim_to_be_one(
    client: TestClient, services: Services
):
    told = Announcement(name="a:1", registration="AW_1", max_calls=3)
    body = told.model_dump_json().encode()
    headers = {"Authorization": signature(ADDRESS, body)}
    assert client.post("/api/workers", content=body, headers=headers).status_code == 204
    assert [one.max_calls for one in services.workers.present] == [3]
    forged = {"Authorization": signature(ADDRESS, b"another")}
    assert client.post("/api/workers", content=body, headers=forged).status_code == 401
    for garbage in (b"", b"null", b'{"name":1}', b"\xff", body + b"x", b"9" * 5000):
        signed = {"Authorization": signature(ADDRESS, garbage)}
        answer = client.post("/api/workers", content=garbage, headers=signed)
        assert answer.status_code in {413, 422}
    assert [one.max_calls for one in services.workers.present] == [3]


def test_two_lines_of_one_agent_are_one_life(services: Services):
    lifelines = services.lifelines
    with lifelines.held(AGENT):
        with lifelines.held(AGENT):
            pass
        assert lifelines.lives(AGENT)
    assert not lifelines.lives(AGENT)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer x", signature(ADDRESS, claim("room-2", "avatar-1"))],
)
def test_nobody_else_can_claim_to_be_an_agent(
    client: TestClient, services: Services, authorization: str
):
    headers = {"Authorization": authorization}
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(PATH, headers=headers),
    ):
        pass
    assert refused.value.status_code == 401
    assert not services.lifelines.someone_lives("room-1")
