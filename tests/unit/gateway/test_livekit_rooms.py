"""How LiveKit's refusals become problems; the real server is tested in tests/integration."""

from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from livekit import api

from gateway.errors import GatewayError
from gateway.livekit_rooms import LiveKitRooms, Presence
from services.room_agent.lifeline import HOLDS_ONE

pytestmark = pytest.mark.unit


def rooms_where(**methods: Any) -> LiveKitRooms:
    service = SimpleNamespace(**methods)
    return LiveKitRooms(SimpleNamespace(room=service, agent_dispatch=service))  # type: ignore[arg-type]


def failing(error: Exception) -> Any:
    async def fail(*_: object) -> None:
        raise error

    return fail


def twirp(code: str) -> api.TwirpError:
    return api.TwirpError(code, "no", status=400)


@pytest.mark.parametrize("error", [aiohttp.ClientConnectionError(), TimeoutError()])
async def test_no_answer_is_a_problem_that_can_be_tried_again(error: Exception):
    with pytest.raises(GatewayError) as found:
        await rooms_where(list_rooms=failing(error)).ping()
    assert (found.value.problem.status, found.value.problem.code) == (503, "livekit_unavailable")


@pytest.mark.parametrize("code", ["unauthenticated", "permission_denied"])
async def test_a_wrong_key_is_named(code: str):
    with pytest.raises(GatewayError) as found:
        await rooms_where(list_rooms=failing(twirp(code))).ping()
    assert found.value.problem.code == "livekit_refused"


async def test_other_refusals_are_mistakes_of_ours():
    with pytest.raises(api.TwirpError):
        await rooms_where(list_rooms=failing(twirp("invalid_argument"))).ping()


async def test_deleting_a_room_that_is_gone_is_fine():
    await rooms_where(delete_room=failing(twirp("not_found"))).delete("call-1")
    with pytest.raises(api.TwirpError):
        await rooms_where(delete_room=failing(twirp("internal"))).delete("call-1")


async def test_what_a_room_that_is_gone_is_told_is_lost():
    await rooms_where(update_room_metadata=failing(twirp("not_found"))).tell("call-1", "{}")
    with pytest.raises(api.TwirpError):
        await rooms_where(update_room_metadata=failing(twirp("internal"))).tell("call-1", "{}")


async def test_agents_that_hold_lifelines_are_told_from_others_and_from_who_says_so():
    kinds = api.ParticipantInfo.Kind
    said = {HOLDS_ONE: "true"}
    there = [
        api.ParticipantInfo(identity="avatar-1", kind=kinds.AGENT, attributes=said),
        api.ParticipantInfo(identity="avatar-2", kind=kinds.AGENT),
        api.ParticipantInfo(identity="caller", kind=kinds.STANDARD, attributes=said),
    ]

    async def one_room(_: object) -> api.ListRoomsResponse:
        return api.ListRoomsResponse(rooms=[api.Room(name="call-1")])

    async def three(_: object) -> api.ListParticipantsResponse:
        return api.ListParticipantsResponse(participants=there)

    rooms = rooms_where(list_rooms=one_room, list_participants=three)
    assert await rooms.presence("call-1") == Presence(True, 2, 1, frozenset({"avatar-1"}))


async def test_a_room_that_closes_while_it_is_looked_at_does_not_exist():
    async def one_room(_: object) -> api.ListRoomsResponse:
        return api.ListRoomsResponse(rooms=[api.Room(name="call-1")])

    rooms = rooms_where(list_rooms=one_room, list_participants=failing(twirp("not_found")))
    assert await rooms.presence("call-1") == Presence(exists=False)
    rooms = rooms_where(list_rooms=one_room, list_participants=failing(twirp("internal")))
    with pytest.raises(api.TwirpError):
        await rooms.presence("call-1")
