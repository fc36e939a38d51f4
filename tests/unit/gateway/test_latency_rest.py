"""Turns from the agents' reports to the dashboard's figures."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from gateway.app import create_app
from gateway.deps import Services
from gateway.routes.latency import MAX_REPORT_BYTES
from gateway.settings import GatewaySettings
from services.room_agent.records import BargeIn
from services.room_agent.stages import STAGES
from tests.unit.gateway.conftest import LOCAL_URL, FakeChecker, FakeRooms
from tests.unit.gateway.turn_reports import ADDRESS, NOW, QUALITY, a_report, a_turn, send

pytestmark = pytest.mark.unit


@pytest.fixture
def room(client: TestClient) -> str:
    return str(client.post("/api/rooms", json={"avatar_id": "mara"}).json()["room"])


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An OpenTelemetry collector that keeps what it gets: path and body of each request."""
    bodies: list[tuple[str, bytes]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            zipped = self.headers.get("content-encoding") == "gzip"
            bodies.append((self.path, gzip.decompress(body) if zipped else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not on the console."""

    server = HTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_turn_comes_back_with_its_waterfall(client: TestClient, room: str) -> None:
    assert send(client, room, a_report(a_turn(face_ms=850, sent_fps=24.5))).status_code == 204
    (listed,) = client.get("/api/turns").json()
    assert listed["voice_to_face_ms"] == 850
    assert listed["avatar"] == "Mara"
    detail = client.get(f"/api/turns/{listed['id']}").json()
    assert [bar["name"] for bar in detail["stages"]] == [stage.name for stage in STAGES]
    assert detail["stages"][-1]["end_ms"] == 850
    assert detail["sent_fps"] == 24.5
    assert client.get(f"/api/rooms/{room}/turns").json() == [detail]


def test_a_report_that_comes_twice_counts_once(client: TestClient, room: str) -> None:
    before = counted("xstreamer_voice_to_face_seconds_count")
    for _ in range(2):
        send(client, room, a_report(a_turn(1), a_turn(2)))
    assert len(client.get("/api/turns").json()) == 2
    assert counted("xstreamer_voice_to_face_seconds_count") == before + 2


def test_figures_are_medians_and_95th_percentiles_of_every_stage(
    client: TestClient, room: str
) -> None:
    send(client, room, a_report(*(a_turn(n, face_ms=100.0 * n) for n in range(1, 12))))
    view = client.get("/api/latency").json()
    figures = {stage["name"]: stage for stage in view["stages"]}
    assert (figures["voice_to_face"]["p50_ms"], figures["voice_to_face"]["p95_ms"]) == (600, 1050)
    assert figures["decode"]["turns"] == 11
    assert list(figures)[2:] == [stage.name for stage in STAGES]


def test_a_sum_that_leaves_older_turns_out_says_since_when_it_counts(
    client: TestClient, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routes.latency.SUMMED_TURNS", 3)
    send(client, room, a_report(*(a_turn(n) for n in range(1, 4))))
    view = client.get("/api/latency").json()
    assert (view["turns"], view["counted_since"]) == (3, None)
    send(client, room, a_report(a_turn(4)))
    view = client.get("/api/latency").json()
    assert (view["turns"], view["stages"][0]["turns"]) == (3, 3)
    oldest = client.get("/api/turns").json()[2]
    assert view["counted_since"] == oldest["voice_end_at"]
    assert oldest["turn"] == 2


def test_a_typed_turn_has_no_way_from_a_voice(client: TestClient, room: str) -> None:
    names = ("xstreamer_voice_to_face_seconds", "xstreamer_voice_to_voice_seconds")
    before = [counted(f"{name}_count") for name in names]
    uplinks = counted("xstreamer_turn_stage_seconds_count", stage="uplink")
    turns = counted("xstreamer_turns_total", outcome="completed")
    send(client, room, a_report(a_turn(1, face_ms=900), a_turn(2, face_ms=100, typed=True)))
    assert [counted(f"{name}_count") for name in names] == [count + 1 for count in before]
    assert counted("xstreamer_turn_stage_seconds_count", stage="uplink") == uplinks + 1
    assert counted("xstreamer_turns_total", outcome="completed") == turns + 2
    figures = {stage["name"]: stage for stage in client.get("/api/latency").json()["stages"]}
    for name in ("voice_to_face", "voice_to_voice", "uplink"):
        assert figures[name]["turns"] == 1
    assert figures["voice_to_face"]["p50_ms"] == 900
    listed = client.get("/api/turns").json()
    assert [(turn["typed"], turn["voice_to_face_ms"]) for turn in listed] == [
        (True, 100),
        (False, 900),
    ]


def test_a_live_call_shows_what_its_page_sees_and_not_its_room(
    client: TestClient, room: str
) -> None:
    send(client, room, a_report(a_turn(face_ms=432), quality=(QUALITY,)))
    answer = client.get("/api/latency")
    (live,) = answer.json()["live"]
    assert (live["phase"], live["voice_to_face_ms"], live["quality"]["fps"]) == (
        "speaking",
        432,
        24.8,
    )
    everything = answer.text + client.get("/api/turns").text
    assert room not in everything


def test_a_call_whose_agent_is_silent_is_live_without_figures(
    client: TestClient, services: Services, room: str
) -> None:
    send(client, room, a_report(a_turn()))
    assert services.latency.heard(room) is not None
    clock_s = services.latency.clock_s() + 60
    services.latency.clock_s = lambda: clock_s
    assert client.get("/api/latency").json()["live"][0]["phase"] is None


@pytest.mark.parametrize(
    "address", [replace(ADDRESS, api_secret="x" * 40), replace(ADDRESS, api_key="other")]
)
def test_only_our_agents_are_believed(client: TestClient, room: str, address: object) -> None:
    answer = send(client, room, a_report(a_turn()), address)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    body = a_report(a_turn()).model_dump_json()
    unsigned = client.post(f"/api/calls/{room}/reports", content=body)
    assert unsigned.status_code == 401
    assert client.get("/api/turns").json() == []


def test_a_report_of_one_call_is_none_of_another(client: TestClient, room: str) -> None:
    other = client.post("/api/rooms", json={"avatar_id": "mara"}).json()["room"]
    captured = send(client, room, a_report(a_turn())).request
    again = {"authorization": captured.headers["authorization"]}
    answer = client.post(f"/api/calls/{other}/reports", content=captured.content, headers=again)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert client.get(f"/api/rooms/{other}/turns").json() == []


def test_a_report_that_is_too_long_is_refused(client: TestClient, room: str) -> None:
    answer = client.post(f"/api/calls/{room}/reports", content=bytes(MAX_REPORT_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_callers_own_token_signs_nothing(client: TestClient) -> None:
    created = client.post("/api/rooms", json={"avatar_id": "mara"}).json()
    body = a_report(a_turn()).model_dump_json()
    answer = client.post(
        f"/api/calls/{created['room']}/reports",
        content=body,
        headers={"authorization": created["token"]},
    )
    assert answer.status_code == 401


def test_turns_of_a_call_that_nobody_made_are_not_kept(client: TestClient) -> None:
    before = counted("xstreamer_turns_total", outcome="completed")
    assert send(client, "call-unknown", a_report(a_turn())).status_code == 204
    assert client.get("/api/turns").json() == []
    assert counted("xstreamer_turns_total", outcome="completed") == before


def test_reports_are_counted_by_bounded_labels(client: TestClient, room: str) -> None:
    other = counted("xstreamer_call_failures_total", code="other")
    busy = counted("xstreamer_call_failures_total", code="busy")
    still = counted("xstreamer_barge_in_seconds_sum", until="still")
    frozen = counted("xstreamer_frozen_seconds_total")
    after = counted("xstreamer_barge_in_after_detection_seconds_sum", until="silence")
    barge_in = BargeIn(detected_ms=90, noticed_ms=200, silence_ms=160, still_ms=300)
    report = a_report(
        a_turn(barge_in=barge_in), quality=(QUALITY,), failures={"busy": 2, "made_up_code": 3}
    )
    send(client, room, report)
    assert counted("xstreamer_call_failures_total", code="other") == other + 3
    assert counted("xstreamer_call_failures_total", code="busy") == busy + 2
    assert counted("xstreamer_barge_in_seconds_sum", until="still") == pytest.approx(still + 0.3)
    now = counted("xstreamer_barge_in_after_detection_seconds_sum", until="silence")
    assert now == pytest.approx(after + 0.07)
    assert counted("xstreamer_frozen_seconds_total") == pytest.approx(frozen + 0.3)
    assert "made_up_code" not in client.get("/metrics").text


def test_history_survives_a_restart(
    settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms
) -> None:
    with TestClient(create_app(settings, checker, rooms), LOCAL_URL) as first:
        made = first.post("/api/rooms", json={"avatar_id": "mara"}).json()["room"]
        send(first, made, a_report(a_turn(face_ms=500)))
    with TestClient(create_app(settings, checker, rooms), LOCAL_URL) as second:
        assert second.get("/api/turns").json()[0]["voice_to_face_ms"] == 500
        assert second.get("/api/latency").json()["stages"][0]["p50_ms"] == 500


def test_old_turns_are_forgotten_and_the_newest_kept(
    client: TestClient, services: Services, room: str
) -> None:
    send(client, room, a_report(*(a_turn(n) for n in range(1, 7))))
    store = services.latency.store
    assert store.forget(NOW + timedelta(seconds=2.5), keep=100) == 2
    assert store.forget(NOW, keep=3) == 1
    assert [turn["turn"] for turn in client.get("/api/turns").json()] == [6, 5, 4]


def test_a_turn_that_is_not_there_is_a_problem(client: TestClient) -> None:
    assert client.get("/api/turns/999").json()["code"] == "turn_not_found"


def test_the_dashboard_is_the_page(client: TestClient, settings: GatewaySettings) -> None:
    settings.app_dir.mkdir(parents=True)
    (settings.app_dir / "index.html").write_text("<!doctype html>the page")
    assert "the page" in client.get("/dashboard").text


def test_spans_reach_a_collector_when_one_is_configured(
    settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    with collector() as (url, bodies):
        with_spans = settings.model_copy(update={"otlp_endpoint": url})
        with TestClient(create_app(with_spans, checker, rooms), LOCAL_URL) as client:
            made = client.post("/api/rooms", json={"avatar_id": "mara"}).json()["room"]
            send(client, made, a_report(a_turn(face_ms=600)))
    spans = [
        span
        for path, body in bodies
        if path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (root,) = [span for span in spans if span.name == "turn"]
    assert {span.name for span in spans} == {"turn", *(stage.name for stage in STAGES)}
    assert all(span.parent_span_id == root.span_id for span in spans if span is not root)
    assert (root.end_time_unix_nano - root.start_time_unix_nano) / 1e6 == pytest.approx(
        600, abs=0.01
    )
    assert made not in json.dumps([str(span) for span in spans])
