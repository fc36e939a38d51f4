"""Streaming is the full-matrix computation, at the same cost for ever, whatever happens between."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from actor_server.model.conditioner import Conditions
from actor_server.model.geometry import TINY, ActorGeometry
from actor_server.model.layers import CrossView, KeyValues, SelfView
from actor_server.model.mask import FULL_SIGHT, SightRules
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.source import NEVER_SHOWN, ChunkForgotten, WindowFull
from actor_server.sampler import NoRowFree, PyramidSampler, SamplerStream, named_noise
from actor_server.schedule import ddim_step
from tests.unit.actor_server.tiny_actor import random_conditions, random_latents, tiny_actor

pytestmark = pytest.mark.unit

EXACT = 1e-9
SHORT_MEMORY = replace(TINY, context_chunks=3)
SHAPE = (TINY.tokens, TINY.latent_dim)
PORTRAIT = random_latents(1, 1)[0][0]


def open_stream(
    steps: int,
    window: int,
    *,
    geometry: ActorGeometry = SHORT_MEMORY,
    rules: SightRules = FULL_SIGHT,
    model: VideoTransformer | None = None,
    padded: bool = False,
) -> tuple[PyramidSampler, SamplerStream]:
    model = model or tiny_actor(geometry)
    sampler = PyramidSampler(model, steps, window, rows=1, rules=rules, padded=padded)
    return sampler, sampler.open(PORTRAIT, seed=5)


def play(
    sampler: PyramidSampler, stream: SamplerStream, conditions: Conditions
) -> Iterator[Tensor | None]:
    """One answer per pass, the window kept full, until all conditions are chunks."""
    last = conditions.chunks
    while stream.made < last:
        while stream.in_flight < sampler.window and stream.made + stream.in_flight < last:
            stream.offer(conditions[stream.made + stream.in_flight])
        yield sampler.run_pass([stream])[0]


def chunks_of(answers: Iterator[Tensor | None]) -> Tensor:
    return torch.stack([answer for answer in answers if answer is not None])


def steps_left(passes: int, chunk: int, steps: int, window: int) -> int:
    """K[m, c] = clip(N + s c - m, 0, N), chunk c having taken no step before pass s c."""
    stride = -(-steps // window)
    return max(0, min(steps, steps + stride * chunk - passes))


def full_matrix(
    model: VideoTransformer, conditions: Conditions, steps: int, window: int, rules: SightRules
) -> Tensor:
    """The whole sequence again in every pass, without a cache: (chunks, T, D)."""
    count, stride = conditions.chunks, -(-steps // window)
    x = torch.stack([named_noise(5, chunk, SHAPE) for chunk in range(count)])
    for at in range(steps + stride * (count - 1)):
        left = [steps_left(at, chunk, steps, window) for chunk in range(count)]
        entered = [chunk for chunk in range(count) if stride * chunk <= at]
        flying = [chunk for chunk in entered if left[chunk] > 0]
        seen = slice(0, len(entered))
        levels = torch.tensor(left[seen], dtype=torch.float64)[None] / steps
        v = model(
            PORTRAIT[None],
            x[None, seen],
            levels,
            conditions[seen],
            token_causal=rules.token_causal,
            use_reference=rules.use_reference,
            window_start=flying[0],
        )[0]
        for chunk in flying:
            now, after = (
                torch.tensor(k, dtype=torch.float64) / steps for k in (left[chunk], left[chunk] - 1)
            )
            x[chunk] = ddim_step(x[chunk], v[chunk], now, after)
    return x


@pytest.mark.parametrize(
    ("steps", "window"), [(1, 1), (4, 1), (4, 2), (4, 4), (3, 5), (5, 3), (8, 3), (25, 6)]
)
def test_streaming_equals_the_full_matrix_far_beyond_the_context(steps: int, window: int) -> None:
    sampler, stream = open_stream(steps, window)
    conditions = random_conditions(1, 11)
    streamed = chunks_of(play(sampler, stream, conditions))
    whole = full_matrix(sampler.model, conditions, steps, window, FULL_SIGHT)
    assert whole.std() > 0.1
    torch.testing.assert_close(streamed, whole, atol=EXACT, rtol=0)


@pytest.mark.parametrize(("steps", "window"), [(2, 1), (2, 2)])
def test_streaming_equals_the_full_matrix_with_the_papers_context(steps: int, window: int) -> None:
    sampler, stream = open_stream(steps, window, geometry=TINY)
    conditions = random_conditions(1, 36)
    streamed = chunks_of(play(sampler, stream, conditions))
    whole = full_matrix(sampler.model, conditions, steps, window, FULL_SIGHT)
    torch.testing.assert_close(streamed, whole, atol=EXACT, rtol=0)


@pytest.mark.parametrize("rules", [SightRules(token_causal=True), SightRules(use_reference=False)])
def test_streaming_equals_the_full_matrix_in_the_ablations(rules: SightRules) -> None:
    sampler, stream = open_stream(4, 2, rules=rules)
    conditions = random_conditions(1, 8)
    streamed = chunks_of(play(sampler, stream, conditions))
    whole = full_matrix(sampler.model, conditions, 4, 2, rules)
    torch.testing.assert_close(streamed, whole, atol=EXACT, rtol=0)


def test_one_chunk_at_a_time_is_what_training_computes() -> None:
    """W = 1: the last pass of a chunk is `forward` over clean history, without a window."""
    sampler, stream = open_stream(1, 1)
    conditions = random_conditions(1, 7)
    streamed = chunks_of(play(sampler, stream, conditions))
    noise = named_noise(5, 6, SHAPE)
    latents = torch.cat([streamed[:6], noise[None]])[None]
    levels = torch.tensor([[0.0] * 6 + [1.0]], dtype=torch.float64)
    v = sampler.model(PORTRAIT[None], latents, levels, conditions)[0, -1]
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(streamed[6], ddim_step(noise, v, one, zero), atol=EXACT, rtol=0)


@pytest.mark.parametrize(
    ("steps", "window"), [(1, 1), (4, 1), (4, 2), (4, 3), (4, 4), (4, 9), (8, 2), (25, 6)]
)
def test_a_stream_takes_n_passes_and_a_stride_for_each_further_chunk(
    steps: int, window: int
) -> None:
    sampler, stream = open_stream(steps, window)
    answers = list(play(sampler, stream, random_conditions(1, 6)))
    stride = -(-steps // window)
    assert len(answers) == steps + stride * (6 - 1)
    clean = [at for at, answer in enumerate(answers, start=1) if answer is not None]
    assert clean == [steps + stride * chunk for chunk in range(6)]
    if window >= steps:
        assert len(answers) == 6 + steps - 1


def test_no_more_than_the_window_is_in_flight() -> None:
    stream = open_stream(4, 2)[1]
    conditions = random_conditions(1, 3)
    for chunk in range(2):
        stream.offer(conditions[chunk])
    with pytest.raises(WindowFull):
        stream.offer(conditions[2])
    assert stream.in_flight == 2


def test_passes_without_a_condition_do_nothing() -> None:
    sampler, stream = open_stream(2, 2)
    conditions = random_conditions(1, 5)
    whole = chunks_of(play(*open_stream(2, 2)[:2], conditions))
    parts = []
    for end in (2, 5):
        parts += [chunk for chunk in play(sampler, stream, conditions[:end]) if chunk is not None]
        assert sampler.run_pass([stream]) == [None]
    assert len(parts) == len(whole)
    torch.testing.assert_close(torch.stack(parts)[:2], whole[:2], atol=EXACT, rtol=0)


def test_noisy_passes_leave_no_trace_in_the_cache() -> None:
    sampler, stream = open_stream(4, 2)
    conditions = random_conditions(1, 9)
    changes = 0
    before = sampler.cache.ring.keys.clone(), sampler.cache.ring.values.clone()
    pending = False
    for answer in play(sampler, stream, conditions):
        same = all(map(torch.equal, before, sampler.cache.ring))
        assert same != pending
        changes += not same
        before = sampler.cache.ring.keys.clone(), sampler.cache.ring.values.clone()
        pending = answer is not None
    assert changes == 8


def test_addresses_of_the_cache_never_move() -> None:
    sampler, stream = open_stream(2, 2)
    buffers = [*sampler.cache.ring, *sampler.cache.pinned, *sampler.cache.view]
    before = [buffer.data_ptr() for buffer in buffers]
    for at, _ in enumerate(play(sampler, stream, random_conditions(1, 30))):
        if at == 20:
            stream.rollback(15)
    buffers = [*sampler.cache.ring, *sampler.cache.pinned, *sampler.cache.view]
    assert [buffer.data_ptr() for buffer in buffers] == before


def test_a_flush_keeps_the_clean_context_and_the_next_chunks_take_the_place_of_the_dropped() -> (
    None
):
    conditions, other = random_conditions(1, 10), random_conditions(1, 10, seed=8)
    sampler, stream = open_stream(4, 2)
    for _ in play(sampler, stream, conditions[:6]):
        pass
    for chunk in (6, 7):
        stream.offer(conditions[chunk])
    for _ in range(3):
        sampler.run_pass([stream])
    assert stream.flush() == 2
    flushed = chunks_of(play(sampler, stream, other))

    sampler, stream = open_stream(4, 2)
    for _ in play(sampler, stream, conditions[:6]):
        pass
    torch.testing.assert_close(flushed, chunks_of(play(sampler, stream, other)), atol=EXACT, rtol=0)


def test_a_flush_that_keeps_newer_conditions_begins_their_chunks_again() -> None:
    conditions = random_conditions(1, 4)
    sampler, stream = open_stream(2, 2)
    stream.offer(random_conditions(1, 1, seed=3)[0])
    stream.offer(conditions[0])
    sampler.run_pass([stream])
    assert stream.flush(keep=1) == 1
    assert stream.in_flight == 1
    kept = chunks_of(play(sampler, stream, conditions))
    torch.testing.assert_close(kept, chunks_of(play(*open_stream(2, 2), conditions)))


def test_a_very_noisy_chunk_may_still_change_its_condition() -> None:
    conditions, other = random_conditions(1, 4), random_conditions(1, 4, seed=8)
    sampler, stream = open_stream(4, 2)
    for chunk in range(2):
        stream.offer(other[chunk])
    assert stream.rebind(0, conditions[0])
    assert stream.rebind(1, conditions[1])
    bound = chunks_of(play(sampler, stream, conditions))
    torch.testing.assert_close(bound, chunks_of(play(*open_stream(4, 2), conditions)))


def test_a_chunk_that_has_taken_shape_keeps_its_condition() -> None:
    conditions, other = random_conditions(1, 4), random_conditions(1, 4, seed=8)
    sampler, stream = open_stream(4, 1)
    stream.offer(conditions[0])
    for passes in range(4):
        assert stream.rebind(0, other[0]) == (passes < 2)
        stream.rebind(0, conditions[0])
        sampler.run_pass([stream])
    assert not stream.rebind(0, other[0])
    assert not stream.rebind(1, other[0])


@pytest.mark.parametrize("taken_back", [0, 2])
@pytest.mark.parametrize(("steps", "window"), [(2, 1), (4, 2), (3, 3)])
def test_after_an_interruption_anywhere_it_goes_on_as_if_later_chunks_had_never_been(
    steps: int, window: int, taken_back: int
) -> None:
    conditions, other = random_conditions(1, 7), random_conditions(1, 9, seed=8)
    passes = steps + -(-steps // window) * (7 - 1)
    undisturbed: dict[int, Tensor] = {}
    model = tiny_actor(SHORT_MEMORY)
    for interrupted_at in range(passes + 1):
        sampler, stream = open_stream(steps, window, model=model)
        playing = play(sampler, stream, conditions)
        for _ in range(interrupted_at):
            next(playing)
        shown = max(NEVER_SHOWN, stream.made - 1 - taken_back)
        stream.rollback(shown)
        assert (stream.made, stream.in_flight) == (shown + 1, 0)
        kept = other[: shown + 3]
        continued = chunks_of(play(sampler, stream, kept))
        if shown not in undisturbed:
            sampler, stream = open_stream(steps, window, model=model)
            for _ in play(sampler, stream, conditions[: shown + 1]):
                pass
            undisturbed[shown] = chunks_of(play(sampler, stream, kept))
        torch.testing.assert_close(continued, undisturbed[shown], atol=EXACT, rtol=0)
    assert set(undisturbed) == set(range(NEVER_SHOWN, 7 - taken_back))


def test_sixteen_chunks_can_be_taken_back_but_not_more_than_the_ring_remembers() -> None:
    conditions = random_conditions(1, 40)
    sampler, stream = open_stream(1, 1)
    first = chunks_of(play(sampler, stream, conditions))
    stream.rollback(22)  # of 40 made 39 are in the cache: 16 taken back
    again = chunks_of(play(sampler, stream, conditions))
    torch.testing.assert_close(again, first[23:], atol=EXACT, rtol=0)
    stream.rollback(22)
    with pytest.raises(ChunkForgotten, match="too old"):
        stream.rollback(21)
    with pytest.raises(ChunkForgotten, match="not among"):
        stream.rollback(23)
    assert stream.made == 23
    again = chunks_of(play(sampler, stream, conditions))
    torch.testing.assert_close(again, first[23:], atol=EXACT, rtol=0)


def call(sampler: PyramidSampler, rows: tuple[int, ...]) -> dict[int, list[Tensor]]:
    """Sessions that begin one after another, some pausing, one interrupted; their chunks."""
    streams = {row: sampler.open(PORTRAIT + row, seed=row) for row in rows}
    chunks: dict[int, list[Tensor]] = {row: [] for row in rows}
    talks = {row: random_conditions(1, 12, seed=row) for row in rows}
    for at in range(45):
        running = [row for row in rows if at >= 5 * row and (row != 2 or at % 3)]
        for row in running:
            stream = streams[row]
            if (row, at) == (3, 30):
                stream.rollback(stream.made - 2)
            while stream.in_flight < 2 and stream.made + stream.in_flight < 12:
                stream.offer(talks[row][stream.made + stream.in_flight])
        answers = sampler.run_pass([streams[row] for row in running])
        for row, chunk in zip(running, answers, strict=True):
            chunks[row] += [] if chunk is None else [chunk]
    return chunks


def test_a_batch_of_sessions_in_different_states_equals_each_alone() -> None:
    model = tiny_actor(SHORT_MEMORY)
    together = call(PyramidSampler(model, 4, 2, rows=4), (3, 1, 0, 2))
    for row, chunks in together.items():
        alone = call(PyramidSampler(model, 4, 2, rows=1), (row,))[row]
        assert len(chunks) >= 11
        torch.testing.assert_close(torch.stack(chunks), torch.stack(alone), atol=EXACT, rtol=0)


def test_rows_are_given_back() -> None:
    sampler, stream = open_stream(2, 1)
    with pytest.raises(NoRowFree):
        sampler.open(PORTRAIT, 1)
    conditions = random_conditions(1, 5)
    first = chunks_of(play(sampler, stream, conditions))
    stream.close()
    again = chunks_of(play(sampler, sampler.open(PORTRAIT, seed=5), conditions))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("steps", "window"), [(1, 1), (4, 1), (4, 2), (4, 4), (3, 5), (8, 3), (25, 6)]
)
def test_padded_passes_compute_the_same(steps: int, window: int) -> None:
    conditions = random_conditions(1, 9)
    padded = chunks_of(play(*open_stream(steps, window, padded=True), conditions))
    plain = chunks_of(play(*open_stream(steps, window), conditions))
    torch.testing.assert_close(padded, plain, atol=EXACT, rtol=0)


@pytest.mark.parametrize("rules", [SightRules(token_causal=True), SightRules(use_reference=False)])
def test_padded_passes_compute_the_same_in_the_ablations(rules: SightRules) -> None:
    conditions = random_conditions(1, 8)
    padded = chunks_of(play(*open_stream(4, 2, rules=rules, padded=True), conditions))
    plain = chunks_of(play(*open_stream(4, 2, rules=rules), conditions))
    torch.testing.assert_close(padded, plain, atol=EXACT, rtol=0)


def test_padded_sessions_in_different_states_equal_each_alone() -> None:
    """The sessions of `call` begin, pause and are interrupted."""
    model = tiny_actor(SHORT_MEMORY)
    together = call(PyramidSampler(model, 4, 2, rows=4, padded=True), (3, 1, 0, 2))
    for row, chunks in together.items():
        alone = call(PyramidSampler(model, 4, 2, rows=1), (row,))[row]
        torch.testing.assert_close(torch.stack(chunks), torch.stack(alone), atol=EXACT, rtol=0)


@pytest.mark.parametrize("padded", [True, False])
def test_all_padded_passes_have_one_shape(padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler, stream = open_stream(4, 2, padded=padded)
    shapes = set()
    compute = sampler.model.velocities

    def watched(
        latents: Tensor, levels: Tensor, view: SelfView, cross: CrossView
    ) -> tuple[Tensor, list[KeyValues]]:
        own = (latents, levels, *view.rotation, view.mask, cross.mask, cross.slots[0].keys)
        velocity, kept = compute(latents, levels, view, cross)
        seen = view.extend(0, kept[0].keys, kept[0].values)
        shapes.add(tuple(tuple(tensor.shape) for tensor in (*own, velocity, *seen)))
        return velocity, kept

    monkeypatch.setattr(sampler.model, "velocities", watched)
    for _ in play(sampler, stream, random_conditions(1, 6)):
        pass
    stream.rollback(4)
    for _ in play(sampler, stream, random_conditions(1, 8)):
        pass
    assert (len(shapes) == 1) == padded
    slots = max(latents[1] for latents, *_ in shapes)
    assert slots == 2 + 1
