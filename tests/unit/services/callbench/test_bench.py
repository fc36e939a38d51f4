"""What the benchmark asks and counts, with callers that have no browser. On virtual time."""

from dataclasses import replace
from typing import Any

import pytest

from services.callbench import bench
from services.callbench.bench import BARGE_INS, HESITANT, LONG_QUESTIONS, BenchPlan, BenchResult
from services.callbench.config import CallbenchConfig
from services.callbench.hesitations import PAUSES_S
from services.callbench.measure import CallFigures
from services.callbench.parallel import ParallelFigures
from tests.unit.services.callbench.fake_caller import Browsers, no_traces
from tests.unit.services.room_agent.virtual_time import run_virtually

pytestmark = pytest.mark.unit


def made(
    plan: BenchPlan, browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> tuple[BenchResult, list[str]]:
    """The plan, carried out."""
    told: list[str] = []
    results: list[BenchResult] = []

    async def run_parallel(url: str, avatars: Any, calls: int, *_: Any) -> ParallelFigures:
        return ParallelFigures(calls, [], [])

    async def run() -> None:
        results.append(await bench.run_bench(plan, CallbenchConfig(), told.append))

    joins_ms = iter([900.0, 500.0, 400.0, None, 300.0, *[None] * 9])
    measured = bench.measure

    def timed(*recorded: Any) -> CallFigures:
        return replace(measured(*recorded), first_frame_ms=next(joins_ms))

    for name, instead in (
        ("open_caller", browsers.open_caller),
        ("CallPage", browsers.page),
        ("traces", no_traces),
        ("run_parallel", run_parallel),
        ("measure", timed),
    ):
        monkeypatch.setattr(bench, name, instead)
    run_virtually(run())
    return results[0], told


def test_everything_planned_is_asked_in_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    browsers = Browsers()
    plan = BenchPlan("http://here", ("mara", "sol"), 2, 1, 2, joins=3, parallel=(2, 4))
    result, told = made(plan, browsers, monkeypatch)
    assert [page.called for page in browsers.pages] == [["mara"]] * 5 + [["sol"]]
    assert all(page.ended == 1 for page in browsers.pages)
    asked = browsers.callers[4].said
    assert [question for question, _ in asked[:2]] == list(bench.QUESTIONS[:2])
    assert [question for question, _ in asked[2:4]] == [LONG_QUESTIONS[0], BARGE_INS[0]]
    assert asked[4:] == list(zip(HESITANT[:2], PAUSES_S[:2], strict=True))
    assert result.unanswered == []
    assert result.first_frames_ms == [500.0, 400.0, 300.0], "neither the first nor a missing one"
    assert [run.calls for run in result.parallel] == [2, 4]
    assert result.pictures == {"idle": b"picture after 0", "speaking": b"picture after 1"}
    assert len(result.hesitations) == 2
    assert "join 4 of 4" in told
    assert any("hesitating" in line for line in told)


def test_what_nobody_answers_is_counted_and_the_call_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browsers = Browsers(frozenset({LONG_QUESTIONS[0], bench.QUESTIONS[0]}))
    plan = BenchPlan("http://here", ("mara",), 2, 1, 1, joins=0, warm_up_joins=0)
    result, _ = made(plan, browsers, monkeypatch)
    asked = [question for question, _ in browsers.callers[0].said]
    assert asked == [*bench.QUESTIONS[:2], LONG_QUESTIONS[0], HESITANT[0]], "nothing to speak into"
    assert result.unanswered == [bench.QUESTIONS[0], LONG_QUESTIONS[0]]
    assert browsers.pages[0].heard_out == 2
