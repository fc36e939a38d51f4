"""Several calls at once, with callers that have no browser. On virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc

from services.callbench import light_caller, parallel
from services.callbench.config import CallbenchConfig
from services.callbench.light_caller import LightCaller
from services.callbench.parallel import ANSWER_WITHIN_S, ParallelFigures, run_parallel
from services.callbench.questions import clip
from tests.unit.services.callbench.fake_caller import Browsers, no_traces
from tests.unit.services.room_agent.virtual_time import run_virtually, virtually

pytestmark = pytest.mark.unit


class FakeLight:
    """A light caller that is answered after 0.7 s, or never."""

    def __init__(self, answered: bool) -> None:
        self.room_name = "room-2"
        self.said: list[str] = []
        self._answered = answered

    def say(self, question_id: str) -> float:
        self.said.append(question_id)
        return asyncio.get_running_loop().time()

    async def answered(self, after_s: float, timeout_s: float) -> float | None:
        assert timeout_s == ANSWER_WITHIN_S
        return 0.7 if self._answered else None

    async def quiet(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def made(
    calls: int, monkeypatch: pytest.MonkeyPatch, *, deaf: bool = False
) -> tuple[ParallelFigures, Browsers, list[FakeLight]]:
    browsers = Browsers(frozenset(parallel.QUESTIONS) if deaf else frozenset())
    lights: list[FakeLight] = []
    results: list[ParallelFigures] = []

    @asynccontextmanager
    async def light(url: str, avatar: str) -> AsyncIterator[FakeLight]:
        lights.append(FakeLight(answered=not deaf))
        yield lights[-1]

    async def run() -> None:
        config = CallbenchConfig()
        results.append(await run_parallel("http://here", ("mara", "sol"), calls, 2, config))

    for name, instead in (
        ("open_caller", browsers.open_caller),
        ("CallPage", browsers.page),
        ("traces", no_traces),
        ("light_caller", light),
        ("stage_figures", lambda _: []),
    ):
        monkeypatch.setattr(parallel, name, instead)
    run_virtually(run())
    return results[0], browsers, lights


@pytest.mark.parametrize(("calls", "browsers"), [(1, 1), (2, 2), (3, 1), (5, 1)])
def test_more_than_two_callers_have_one_browser_among_them(
    calls: int, browsers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures, opened, lights = made(calls, monkeypatch)
    assert (len(opened.callers), len(lights)) == (browsers, calls - browsers)
    assert [side.browser for side in figures.sides].count(True) == browsers
    assert [page.called for page in opened.pages] == [["mara"], ["sol"]][:browsers]


def test_everybody_asks_and_what_each_got_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    figures, opened, lights = made(3, monkeypatch)
    questions = list(parallel.QUESTIONS[:2])
    assert [said for said, _ in opened.callers[0].said] == questions
    assert all(light.said == questions for light in lights)
    browser, *others = figures.sides
    assert browser.unanswered == 0
    assert all(side.voice_to_voice_ms == [700.0, 700.0] for side in others)
    assert all(side.rate == 24.5 for side in others), "of the last trace that tells"
    assert opened.pages[0].ended == 1


def test_callers_whom_nobody_answers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    figures, opened, _ = made(3, monkeypatch, deaf=True)
    assert [side.unanswered for side in figures.sides] == [2, 2, 2]
    assert opened.pages[0].heard_out == 0


class Microphone:
    """Takes what is spoken, in real time of the virtual clock."""

    def __init__(self, *_: object, **__: object) -> None:
        self.spoken: list[np.ndarray] = []

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self.spoken.append(np.frombuffer(frame.data, np.int16))
        await asyncio.sleep(0.02)


class Voice:
    """What is heard of the avatar: silence, a second of voice, silence."""

    @staticmethod
    def from_track(**_: object) -> "Voice":
        return Voice()

    async def __aiter__(self) -> AsyncIterator[Any]:
        for block in range(500):
            await asyncio.sleep(0.02)
            level = 3_000 if 100 <= block < 150 else 3
            pcm = np.full(480, level, np.int16)
            yield SimpleNamespace(frame=SimpleNamespace(data=pcm.tobytes()))


class Publication:
    def __init__(self, kind: Any) -> None:
        self.kind, self.track = kind, None
        self.subscribed = False

    def set_subscribed(self, subscribed: bool) -> None:
        self.subscribed, self.track = subscribed, object()  # type: ignore[assignment]


@virtually
async def test_a_light_caller_speaks_its_question_and_hears_when_a_voice_begins() -> None:
    picture = Publication(rtc.TrackKind.KIND_VIDEO)
    voice = Publication(rtc.TrackKind.KIND_AUDIO)
    tracks = {"TR_v": picture, "TR_a": voice}
    published: list[object] = []

    async def publish_track(track: object, _: object) -> None:
        published.append(track)

    room: Any = SimpleNamespace(
        remote_participants={"avatar": SimpleNamespace(track_publications=tracks)},
        local_participant=SimpleNamespace(publish_track=publish_track),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rtc, "AudioSource", Microphone)
        patched.setattr(rtc.LocalAudioTrack, "create_audio_track", lambda *_: object())
        patched.setattr(rtc, "AudioStream", Voice)
        caller = LightCaller(room, "room-1")
        running = asyncio.create_task(caller.run())
        await asyncio.sleep(0.5)
        began_s = asyncio.get_running_loop().time()
        end_s = caller.say("france")
        assert end_s - began_s == pytest.approx(clip("france").voice_end_s)
        waited_s = await caller.answered(began_s, 10)
        assert waited_s == pytest.approx(1.5, abs=0.1), "the voice begins 2 s after the join"
        await caller.quiet(1.0)
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(3.5, abs=0.1)
        assert await caller.answered(began_s + 60, 1.0) is None
        running.cancel()
        await asyncio.wait([running])
    assert len(published) == 1
    assert voice.subscribed
    assert not picture.subscribed
    spoken = np.concatenate(caller._microphone.spoken)  # type: ignore[attr-defined]
    quiet, said = spoken[:20_000], spoken[24_000:]
    assert np.abs(quiet).max() <= light_caller.NOISE
    assert np.abs(said).max() > 1_000
