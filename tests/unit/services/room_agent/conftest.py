"""Fixtures of the conversation's tests."""

import pytest

from services.room_agent.call_session import CallSession
from tests.unit.services.room_agent.fake_call import CALL
from tests.unit.services.room_agent.session_scene import Ports


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def session(ports: Ports) -> CallSession:
    return CallSession(CALL, ports)
