"""/api/latency and /api/turns: what the dashboard shows; and the reports of agents."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from gateway.access import MetricsKey, RoomCall
from gateway.bodies import read_body
from gateway.deps import Services, ServicesDep
from gateway.errors import GatewayError, not_found, problem_docs
from gateway.latency import SUMMED_TURNS, record_of, summarise
from gateway.latency_schemas import LatencyView, LiveCall, StageFigures, TurnDetail, TurnView
from gateway.signatures import check_signature
from services.room_agent.gateway_line import report_claim
from services.room_agent.records import CallReport

router = APIRouter(prefix="/api", tags=["latency"])
MAX_REPORT_BYTES = 512 * 1024

Limit = Annotated[int, Query(ge=1, le=500)]
Hours = Annotated[float, Query(gt=0, le=24 * 366)]
TurnId = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""PostgreSQL keeps four bytes of it; SQLite refuses more than eight with an error."""


@router.post("/calls/{room}/reports", status_code=204, include_in_schema=False)
async def report(room: str, request: Request, services: ServicesDep) -> Response:
    """What an agent tells of its call, signed with the LiveKit key that both sides know."""
    body = await read_body(request, MAX_REPORT_BYTES)
    signature = request.headers.get("authorization", "")
    check_signature(services.token_verifier, report_claim(room, body), signature)
    try:
        found = CallReport.model_validate_json(body)
    except ValidationError as error:
        raise GatewayError(422, "bad_report", "The report is not one", str(error)) from None
    await services.latency.take(room, found)
    if found.conversation is not None:
        await services.calls.remember(room, found.conversation)
    return Response(status_code=204)


@router.get("/latency", responses=problem_docs(401, 403, 422))
async def get_latency(_caller: MetricsKey, services: ServicesDep, hours: Hours = 24) -> LatencyView:
    """Live calls, and median and 95th percentile of each stage over the last hours."""
    since = datetime.now(UTC) - timedelta(hours=hours)
    found = await asyncio.to_thread(services.latency.store.newest, SUMMED_TURNS + 1, since=since)
    rows = found[:SUMMED_TURNS]
    summaries = await asyncio.to_thread(lambda: summarise([record_of(turn) for turn, _ in rows]))
    return LatencyView(
        hours=hours,
        turns=len(rows),
        counted_since=rows[-1][0].voice_end_at if len(found) > len(rows) else None,
        live=await _live(services),
        stages=[StageFigures.of(summary) for summary in summaries],
    )


async def _live(services: Services) -> list[LiveCall]:
    calls = await asyncio.to_thread(services.calls.store.live)
    return [LiveCall.of(call, services.latency.heard(call.room)) for call in calls]


@router.get("/turns", responses=problem_docs(401, 403, 422))
async def list_turns(
    _caller: MetricsKey, services: ServicesDep, limit: Limit = 50
) -> list[TurnView]:
    """The newest turns of all calls, without what was said: that is never stored."""
    rows = await asyncio.to_thread(services.latency.store.newest, limit)
    return [TurnView.of(turn, call) for turn, call in rows]


@router.get("/turns/{turn_id}", responses=problem_docs(401, 403, 404, 422))
async def get_turn(turn_id: TurnId, _caller: MetricsKey, services: ServicesDep) -> TurnDetail:
    """One turn with its waterfall."""
    row = await asyncio.to_thread(services.latency.store.get, turn_id)
    if row is None:
        raise not_found("turn", str(turn_id))
    return TurnDetail.of(*row)


@router.get("/rooms/{room}/turns", responses=problem_docs(401, 404, 422))
async def list_room_turns(
    call: RoomCall, services: ServicesDep, limit: Limit = 100
) -> list[TurnDetail]:
    """The turns of one call with their waterfalls, newest first."""
    rows = await asyncio.to_thread(services.latency.store.newest, limit, room=call.room)
    return [TurnDetail.of(*row) for row in rows]
