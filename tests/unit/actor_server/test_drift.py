"""Long streams: played chunk by chunk, measured minute by minute, their slopes found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest

from actor_server.codec.mesh.latent import LATENT_DIM, YAW
from actor_server.evaluation.actor_system import Actor
from actor_server.evaluation.audio_lip_judge import AudioLipJudge
from actor_server.evaluation.drift import CURVES, LOOK_EVERY, Drift, Onlooker, by_minutes, drift
from actor_server.evaluation.drift_report import drift_json, drift_table
from actor_server.evaluation.evaluate import fit_judge
from actor_server.evaluation.goals import drift_figures
from actor_server.evaluation.rendered_measures import Looks
from actor_server.evaluation.systems import Endless, Procedural, Recorded
from actor_server.evaluation.takes import Take, joined
from actor_server.model.geometry import TINY
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import CHUNK_LATENTS, Condition, Floats
from actor_server.weights import SamplerDefaults
from proto.time_law import CHUNK_FRAMES
from tests.unit.actor_server.talks import SIGHT, take
from tests.unit.actor_server.tiny_actor import tiny_actor

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def judge() -> AudioLipJudge:
    return fit_judge([take(seed) for seed in range(10, 14)])


@dataclass
class Changing:
    """Plays what was stored, and turns the head; both more or less from chunk to chunk."""

    lips_per_chunk: float = 0.0
    yaw_per_chunk: float = 0.0
    label: str = "changing"

    def stream(self, takes: Iterable[Take]) -> Iterator[Floats]:
        for number, chunk in enumerate(Recorded().stream(takes)):
            latents = chunk * np.float32(1 + self.lips_per_chunk * number)
            latents[:, YAW] = 0.05 * np.sin(np.arange(8) + 8 * number)
            latents[:, YAW] *= 1 + self.yaw_per_chunk * number
            yield latents


def actor_of(window: int) -> Actor:
    geometry = replace(TINY, latent_dim=LATENT_DIM, grid=(CHUNK_FRAMES, 1, 1), sight=SIGHT)
    return Actor("Actor", tiny_actor(geometry, seed=7), SamplerDefaults(steps=4, window=window))


@pytest.mark.parametrize("window", [1, 2])
def test_the_actor_streams_what_it_performs_at_once(window: int) -> None:
    takes = [take(1, chunks=3), take(2, chunks=2), take(3, chunks=4)]
    actor = actor_of(window)
    streamed = list(actor.stream(takes))
    assert {chunk.shape for chunk in streamed} == {CHUNK_LATENTS}
    (whole,) = actor.perform([joined(takes)])
    np.testing.assert_allclose(np.concatenate(streamed), whole, atol=1e-6)


@pytest.mark.parametrize("system", [actor_of(2), Procedural(), Recorded()], ids=lambda s: s.label)
def test_an_endless_stream_reads_takes_only_as_it_plays_them(system: Endless) -> None:
    read = 0

    def endless() -> Iterator[Take]:
        nonlocal read
        for one in cycle([take(1, chunks=3), take(2, chunks=3)]):
            read += 1
            yield one

    chunks = system.stream(endless())
    for played in (3, 6, 9):
        assert len(list(islice(chunks, 3))) == 3
        assert played / 3 <= read <= played / 3 + 1


@dataclass
class Listening(ProceduralMotion):
    """Remembers turn and first token of what its one stream is told."""

    told: list[tuple[int, int]] = field(default_factory=list)

    def open(self, reference: Floats, seed: int) -> Any:
        stream = super().open(reference, seed)
        offer = stream.offer

        def remember(condition: Condition) -> None:
            assert condition.speech is not None
            self.told.append((condition.speech.turn, condition.speech.first_token))
            offer(condition)

        stream.offer = remember  # type: ignore[method-assign]
        return stream


def test_the_teacher_is_told_of_a_new_turn_with_each_take() -> None:
    source = Listening()
    list(Procedural(source=source).stream([take(1, chunks=3), take(2, chunks=2)]))
    assert source.told == [(1, 0), (1, 4), (1, 8), (2, 0), (2, 4)]


def test_minutes_are_whole_takes_and_a_short_rest_joins_the_last() -> None:
    takes = [take(seed, chunks=75) for seed in range(6)]  # 24 s each
    groups = by_minutes(takes)
    assert [len(group) for group in groups] == [3, 3]
    assert [len(group) for group in by_minutes(takes[:4])] == [4]
    assert [len(group) for group in by_minutes(takes[:5])] == [3, 2]
    assert [one for group in groups for one in group] == takes


def stream(judge: AudioLipJudge, system: Endless, minutes: float = 4.0) -> Drift:
    return drift(judge, system, [take(seed, chunks=24) for seed in range(4)], minutes)


def test_a_stream_that_stays_the_same_has_the_same_figures_at_both_ends(
    judge: AudioLipJudge,
) -> None:
    steady = stream(judge, Recorded())
    assert steady.minutes == pytest.approx(4.0, abs=0.3)
    first, last = steady.curve[0], steady.curve[-1]
    assert replace(last, at_min=first.at_min) == first
    assert last.at_min == pytest.approx(steady.minutes - 4 * 24 * 0.32 / 60)


def test_a_stream_that_opens_ever_wider_has_the_slope_of_that(judge: AudioLipJudge) -> None:
    wider = stream(judge, Changing(lips_per_chunk=0.001), minutes=8.0)
    line = wider.slope("lip opening SD")
    first = wider.curve[0].gap_sd
    assert line is not None
    per_hour = 0.001 * 3600 / 0.32 * stream(judge, Recorded(), 1.0).curve[0].gap_sd
    assert line.per_hour == pytest.approx(per_hour, rel=0.05)
    assert line.low > 0
    assert line.at_start == pytest.approx(first, rel=0.1)
    assert wider.slope("yaw SD") is not None


def test_what_differs_between_texts_is_no_slope() -> None:
    """Two texts in turn, one twice as lively: the first and the last minute have the quiet one."""
    judge = fit_judge([take(seed) for seed in range(10, 14)])
    quiet, lively = take(1, chunks=190), take(2, chunks=190)
    lively = replace(lively, latents=2 * lively.latents)
    told = drift(judge, Recorded(), [quiet, lively], 20.0)
    assert [minute.text for minute in told.curve[:3]] == [0, 1, 0]
    assert told.curve[-1].text == 0
    values = told.values("lip opening SD")
    assert values[1] > 1.5 * values[0]  # type: ignore[operator]
    line = told.slope("lip opening SD")
    assert line is not None
    assert (line.per_hour, line.high - line.low) == pytest.approx((0, 0), abs=1e-9)


def test_too_short_a_stream_has_curves_and_no_slope(judge: AudioLipJudge) -> None:
    short = stream(judge, Recorded(), minutes=1.0)
    written = drift_json(short)
    assert written["slopes"] == dict.fromkeys(CURVES)
    assert {len(values) for values in written["curves"].values()} == {len(short.curve)}
    assert drift_table([short, short]).row_count == len(CURVES)


def test_the_minute_that_repeats_itself_most_is_what_counts(judge: AudioLipJudge) -> None:
    minute = drift(judge, Recorded("Actor"), [take(0, chunks=24)], 0.1).curve[0]
    curve = tuple(replace(minute, repetition=again) for again in (0.5, None, 0.8, 0.7))
    assert drift_figures([Drift("Actor", 4.0, curve)], "Actor") == {"repetition": 0.8}
    assert drift_figures([Drift("Actor", 0.0, ())], "Actor") == {"repetition": None}


@dataclass
class Stranger:
    """Sees less of the portrait in every minute that it looks at, and as many pictures as drawn."""

    minutes: int = 0
    pictures: int = 0

    def draw(self, latents: Floats) -> list[Floats]:
        return list(latents)

    def glance(self, pictures: list[Floats]) -> Looks:
        self.minutes += 1
        self.pictures += len(pictures)
        return Looks(0.9 - 0.001 * self.minutes, 0.5)


def test_a_face_that_becomes_another_ones_shows_in_the_goal(judge: AudioLipJudge) -> None:
    stranger: Any = Stranger()
    takes = [take(seed, chunks=24) for seed in range(4)]
    told = drift(judge, Recorded("Actor"), takes, 8.0, Onlooker(stranger, stranger))
    line = told.slope("identity")
    assert line is not None
    assert line.per_hour == pytest.approx(-0.001 * 60 / told.at_min[1], rel=1e-3)
    assert drift_figures([told], "Actor")["identity_drift"] == pytest.approx(-line.low)
    assert drift_figures([told], "Actor full") == {}
    assert told.slope("CPBD").per_hour == pytest.approx(0.0, abs=1e-9)  # type: ignore[union-attr]
    frames = told.minutes * 60 * 25
    assert stranger.pictures == pytest.approx(frames / LOOK_EVERY, rel=0.1)
