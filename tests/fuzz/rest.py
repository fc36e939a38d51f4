"""The gateway's REST interface against its own OpenAPI document, in process.

Schemathesis makes requests that fit the document and requests that break it; every answer must be
one that the document names, of the type and shape that it promises, and never a crash.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import negative_data_rejection

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.room_agent.gateway_line import report_claim, signature
from tests.fuzz.figures import Figures
from tests.unit.gateway.conftest import KEY, SECRET, FakeChecker, FakeRooms
from tests.unit.gateway.turn_reports import ADDRESS, a_report, a_turn

READINESS = "GET /readyz"
"""No engine runs here, so its honest answer is a documented 503; no other route may say so."""
SHOWN = 800
ADMIN_KEY = "k" * 40
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
"""Without a key nearly every answer would be 401, which other tests see to."""


@dataclass
class Tally:
    """Requests, those that were answered with success, and what was wrong with answers."""

    total: int = 0
    taken: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)

    def ask(self, case: Case, checks_off: list[Any]) -> None:
        """Make one request and judge its answer."""
        self.total += 1
        label = case.operation.label
        try:
            answer = case.call(headers=ADMIN)
            self.taken += answer.status_code < 400
            route = f" {READINESS}" if label == READINESS else ""
            self.answers[f"{answer.status_code}{route}"] += 1
            case.validate_response(answer, excluded_checks=checks_off)
        except FailureGroup as group:
            for failure in group.exceptions:
                self.findings.setdefault(f"{label}: {type(failure).__name__}", str(group))
        except Exception as crash:  # noqa: BLE001 - whatever the app raises is a finding
            self.findings.setdefault(f"{label}: {type(crash).__name__}", str(crash))


def fuzz_rest(examples: int) -> Figures:
    """At most so many requests to each operation, about half of them against the document."""
    began_s = time.monotonic()
    tally = Tally()
    with _gateway() as (schema, known):
        for found in schema.get_all_operations():
            _ask_often(found.ok(), examples, known, tally)
    return Figures(
        "rest",
        tally.total,
        tally.taken,
        len(tally.findings),
        round(time.monotonic() - began_s, 1),
        findings=tuple(f"{where}: {text[:SHOWN]}" for where, text in tally.findings.items()),
        answers=dict(tally.answers),
    )


def _ask_often(operation: Any, examples: int, known: dict[str, Any], tally: Tally) -> None:
    checks_off = [not_a_server_error] if operation.label == READINESS else []
    cases = st.one_of(
        operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode
    )

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
    )
    @given(case=cases, exists=st.booleans())
    def ask(case: Case, exists: bool) -> None:
        if exists:
            there = known.keys() & case.path_parameters.keys()
            case.path_parameters.update({name: known[name] for name in there})
        # A form carries only text, so no value of it has a wrong type.
        form = [negative_data_rejection] if case.media_type == "multipart/form-data" else []
        tally.ask(case, checks_off + form)

    ask()


@contextmanager
def _gateway() -> Iterator[tuple[Any, dict[str, Any]]]:
    """A gateway's document, and what exists in it by the names of path parameters."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        settings_ = GatewaySettings(
            livekit_api_key=KEY,
            livekit_api_secret=SECRET,
            data_dir=work / "data",
            app_dir=work / "app",
            actor_endpoint=f"ipc://{work}/actor.sock",
            thinker_endpoint=f"ipc://{work}/thinker.sock",
            agent_health_url="http://127.0.0.1:9/",
            max_upload_bytes=64 * 1024,
            ready_timeout_s=0.05,
            require_keys=True,
            admin_key=ADMIN_KEY,
            requests_per_minute=10**9,
            creations_per_minute=10**9,
            watchdog_interval_s=3600,
        )
        app = create_app(settings_, FakeChecker(), FakeRooms())
        try:
            schema = schemathesis.openapi.from_asgi("/openapi.json", app)
            with asgi.get_client(app) as client:
                room = client.post("/api/rooms", json={"avatar_id": "mara"}, headers=ADMIN).json()[
                    "room"
                ]
                body = a_report(a_turn()).model_dump_json().encode()
                headers = {"authorization": signature(ADDRESS, report_claim(room, body))}
                assert client.post(f"/api/calls/{room}/reports", data=body, headers=headers).ok
                turn = client.get("/api/turns", headers=ADMIN).json()[0]["id"]
            yield schema, {"avatar_id": "mara", "room": room, "turn_id": turn}
        finally:
            asgi.shutdown_lifespans()
