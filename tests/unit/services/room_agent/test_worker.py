"""What a worker says of itself, and of each call that it takes."""

from types import SimpleNamespace
from typing import Any

import pytest

from services.provenance import ProvenanceKey
from services.room_agent.config import AgentConfig
from services.room_agent.job import AvatarJob, CallJob
from services.room_agent.lifeline import HOLDS_ONE
from services.room_agent.worker import UNSIGNED, build_server, take_request

pytestmark = pytest.mark.unit


def config(**more: Any) -> AgentConfig:
    return AgentConfig(livekit_api_key="key", livekit_api_secret="s" * 32, **more)


@pytest.mark.parametrize("key", ["", ProvenanceKey.new().text])
def test_a_worker_that_signs_nothing_says_so(key: str, caplog: pytest.LogCaptureFixture) -> None:
    build_server(config(provenance_key=key))
    assert (UNSIGNED in caplog.text) == (not key)


@pytest.mark.parametrize("gateway", [None, "http://gateway:8080"])
async def test_an_avatar_says_whether_it_holds_a_lifeline(gateway: str | None) -> None:
    who = AvatarJob(id="a", name="Ada", voice="hibari", persona="")
    job = CallJob(call_id="call-1", avatar=who, portrait_path="/a.png")
    accepted: list[dict[str, str]] = []

    async def accept(*, name: str, identity: str, attributes: dict[str, str]) -> None:
        assert (name, identity) == ("Ada", "avatar-7")
        accepted.append(attributes)

    told = SimpleNamespace(metadata=job.to_metadata())
    request: Any = SimpleNamespace(job=told, id="7", accept=accept)
    await take_request(config(gateway_url=gateway), request)
    (attributes,) = accepted
    assert attributes["xs.synthetic"] == "true"
    assert (HOLDS_ONE in attributes) is (gateway is not None)
