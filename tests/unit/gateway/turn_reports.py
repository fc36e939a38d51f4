"""Reports as agents send them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

from services.room_agent.config import GatewayAddress
from services.room_agent.gateway_line import report_claim, signature
from services.room_agent.records import CallQuality, CallReport, TurnRecord
from services.room_agent.stages import POINTS
from tests.unit.gateway.conftest import KEY, SECRET

ADDRESS = GatewayAddress("http://127.0.0.1:8080", KEY, SECRET)
NOW = datetime.now(UTC)


def a_turn(turn: int = 1, face_ms: float = 700.0, **changes: Any) -> TurnRecord:
    """A turn whose points lie at even distances; the face comes at `face_ms`."""
    step_ms = face_ms / (len(POINTS) - 1)
    points = {name: index * step_ms for index, name in enumerate(POINTS)}
    record = TurnRecord(
        turn=turn,
        epoch=turn,
        typed=False,
        outcome="completed",
        voice_end_at=NOW + timedelta(seconds=turn),
        points=points,
        heard_tokens=40,
        late_ms=0,
        clock_error_ms=2,
    )
    return record.model_copy(update=changes)


def a_report(*turns: TurnRecord, **changes: Any) -> CallReport:
    return CallReport(phase="speaking", turns=turns).model_copy(update=changes)


QUALITY = CallQuality(
    seconds=5, fps=24.8, freezes=1, frozen_ms=300, concealed_percent=0.2, av_offset_ms=12
)


def send(client: TestClient, room: str, report: CallReport, address: Any = ADDRESS) -> Any:
    """Post a report, signed."""
    body = report.model_dump_json().encode()
    headers = {"authorization": signature(address, report_claim(room, body))}
    return client.post(f"/api/calls/{room}/reports", content=body, headers=headers)
