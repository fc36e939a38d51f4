"""Whole calls on virtual time: the agent with its engines and room in memory."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from proto.messages import Grant, Interrupt, Mood, SetMood, TurnBoundary
from proto.time_law import TOKEN_SAMPLES
from services.room_agent.conversation import Conversation
from services.room_agent.engine_link import LinkState
from services.room_agent.job import RoomState
from services.room_agent.owed import CUT_OFF
from tests.unit.services.room_agent.fake_call import JOB, Call, call, now_s
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit

TOKEN_S = 0.08


async def answered(running: Call) -> float:
    """The caller asks; returns when the voice ended."""
    await running.say(1.0)
    voice_end_s = now_s()
    await running.until(lambda: running.room.states[-1] == "speaking")
    return voice_end_s


def phases(running: Call) -> list[str]:
    return [m.phase for m in running.engines.thinker.of(TurnBoundary)]  # type: ignore[attr-defined]


@virtually
async def test_without_a_transcript_the_words_are_only_heard() -> None:
    for transcript in (True, False):
        async with call(JOB.model_copy(update={"transcript": transcript})) as running:
            kept: list[Conversation] = []
            running.agent._gateway.conversation = kept.append  # type: ignore[method-assign]
            await answered(running)
            running.agent.show_user_words(1, "what I said", True)
            await running.until(lambda room=running.room: room.states[-1] == "listening")
            await running.listen(0.3)
            room = running.room
            assert len(room.audio.speech()) == 40 * TOKEN_SAMPLES
            told = [room.told, room.attributes, {k: c.text for k, c in room.captions.items()}]
            told.append(kept)
            assert kept[-1].turn == 1
            for words in ("what I said", "w4 "):
                assert (words in str(told)) is transcript


@virtually
async def test_an_idle_face_runs_at_25_fps_without_a_gap() -> None:
    async with call() as running:
        await running.listen(10)
        times = [at for at, _ in running.room.video.shown]
        gaps = [b - a for a, b in pairwise(times)]
        assert len(times) == pytest.approx((times[-1] - times[0]) * 25 + 1, abs=1)
        assert max(gaps) < 0.061  # a frame and one block of filler, at the start
        assert max(gaps[25:]) < 0.041
        assert running.agent.filler_blocks < 20


@virtually
async def test_an_idle_actor_is_never_more_than_a_chunk_ahead() -> None:
    async with call() as running:
        actor = running.engines.actor
        for _ in range(200):
            await running.listen(0.04)
            assert actor.credit <= 1
        grants = sum(grant.credit for grant in actor.of(Grant))  # type: ignore[attr-defined]
        assert grants == pytest.approx(8 / 0.32, abs=3)


@virtually
async def test_a_question_is_answered_whole_and_in_step() -> None:
    async with call() as running:
        voice_end_s = await answered(running)
        await running.until(lambda: running.room.states[-1] == "listening")
        await running.listen(0.3)
        room = running.room
        np.testing.assert_array_equal(
            room.audio.speech(), np.repeat(np.arange(1, 41, dtype=np.int16), TOKEN_SAMPLES)
        )
        assert phases(running) == ["started", "paused", "ended"]
        assert room.states == ["listening", "thinking", "speaking", "listening"]
        assert room.attributes["xs.brain"] == "parrot"
        # 0.8 s until the end of the turn (no model), 0.2 s thought, 0.04 s rendering
        assert room.audio.first_speech_s() - voice_end_s == pytest.approx(1.06, abs=0.06)
        for token in range(40):
            apart = room.video.first_s(token + 1) - room.audio.position(token + 1)
            assert abs(apart) < 0.012
        caption = room.captions["reply-1"]
        assert caption.final
        for index, (at, text) in enumerate(caption.writes):
            assert text == f"w{4 * index} "
            assert at == pytest.approx(room.audio.position(4 * index + 1), abs=0.012)
        assert room.reports[0]["heard_tokens"] == 40


@virtually
async def test_a_barge_in_is_silent_at_once_and_counts_what_was_heard() -> None:
    async with call() as running:
        await answered(running)
        await running.listen(1.01)
        begun_s = now_s()
        await running.say(0.6)
        room, engines = running.room, running.engines
        assert room.audio.last_speech_s() - begun_s < 0.14
        (to_thinker,), (to_actor,) = engines.thinker.of(Interrupt), engines.actor.of(Interrupt)
        assert to_thinker == to_actor
        assert isinstance(to_thinker, Interrupt)
        heard = len(room.audio.speech()) // TOKEN_SAMPLES
        assert to_thinker.heard_tokens == heard
        assert (to_thinker.turn, to_thinker.epoch) == (1, 2)
        shown = {int(luma) for _, luma in room.video.shown}
        assert max(shown) <= heard + 1
        assert room.captions["reply-1"].text.split() == [
            f"w{token}" for token in range(0, heard + 1, 4)
        ]
        await running.until(lambda: room.captions["reply-1"].final)
        await running.until(lambda: room.states[-1] == "speaking")
        assert phases(running)[-3:] == ["started", "paused", "ended"]
        await running.until(lambda: room.states[-1] == "listening")
        assert [report["turn"] for report in room.reports] == [1, 2]


@virtually
async def test_the_detection_of_a_barge_in_is_the_moment_of_silence_and_not_of_the_cut() -> None:
    async with call() as running:
        await answered(running)
        await running.listen(0.6)
        await running.say(0.1)  # a cough holds the answer; it is no detection of what comes later
        await running.listen(0.6)
        begun_s = now_s()
        await running.say(0.6)
        await running.until(lambda: running.room.reports)
        barge_in = running.room.reports[0]["barge_in"]
        silent_s = running.room.audio.last_speech_s()
        assert begun_s + barge_in["detected_ms"] / 1000 == pytest.approx(silent_s, abs=0.035)
        assert barge_in["detected_ms"] == pytest.approx(64, abs=33)
        assert barge_in["noticed_ms"] == pytest.approx(224, abs=33)


@virtually
async def test_an_answer_that_held_its_breath_too_long_is_detected_when_it_is_cut() -> None:
    async with call(barge_in_ms=800, hold_ms=60) as running:
        await answered(running)
        await running.say(1.2)
        await running.until(lambda: running.room.reports)
        barge_in = running.room.reports[0]["barge_in"]
        assert barge_in["detected_ms"] == barge_in["noticed_ms"] == pytest.approx(800, abs=40)


@virtually
async def test_a_cough_holds_the_reply_and_loses_none_of_it() -> None:
    async with call() as running:
        await answered(running)
        await running.listen(0.8)
        cough_s = now_s()
        await running.say(0.16)
        await running.until(lambda: running.room.states[-1] == "listening")
        await running.listen(0.3)
        room = running.room
        assert not running.engines.thinker.of(Interrupt)
        assert phases(running) == ["started", "paused", "ended"]
        speech = room.audio.speech()
        repeated = len(speech) - 40 * TOKEN_SAMPLES
        assert 0 <= repeated <= TOKEN_SAMPLES // 4
        np.testing.assert_array_equal(np.unique(speech), np.arange(1, 41))
        assert (np.diff(speech) >= 0).all()
        times = [part.at_s for part in room.audio.played if part.pcm.any()]
        longest = max(b - a for a, b in pairwise(times))
        assert 0.1 < longest < 0.5
        assert room.audio.first_speech_s(cough_s + 0.3) > cough_s
        for token in range(20, 40):
            apart = room.video.first_s(token + 1) - room.audio.position(token + 1)
            assert abs(apart) < 0.03


@virtually
async def test_a_late_chunk_costs_silence_but_never_the_lips() -> None:
    async with call() as running:
        running.engines.actor.stall_before = {16: 0.9}
        await answered(running)
        await running.until(lambda: running.room.states[-1] == "listening")
        await running.listen(0.3)
        room = running.room
        assert len(room.audio.speech()) == 40 * TOKEN_SAMPLES
        assert room.audio.position(17) - room.audio.position(16) > 2 * TOKEN_S
        for token in range(40):
            apart = room.video.first_s(token + 1) - room.audio.position(token + 1)
            assert abs(apart) < 0.012
        times = [at for at, _ in room.video.shown]
        assert max(b - a for a, b in pairwise(times)) < 0.081
        assert room.reports[0]["heard_tokens"] == 40
        pause_s = room.audio.position(17) - room.audio.position(16) - TOKEN_S
        assert room.reports[0]["late_ms"] / 1000 == pytest.approx(pause_s, abs=0.041)


@virtually
async def test_a_message_that_is_sent_again_is_answered_once() -> None:
    async with call() as running:
        for _ in range(3):
            running.agent.read("Hello", "message 1")
        await running.until(lambda: running.room.states[-1] == "speaking")
        running.agent.read("Hello", "message 1")
        await running.until(lambda: running.room.reports)
        assert not running.engines.thinker.of(Interrupt)
        assert [report["outcome"] for report in running.room.reports] == ["completed"]


@virtually
async def test_typing_interrupts_with_two_epochs_and_is_answered() -> None:
    async with call() as running:
        running.agent.read("Hello")
        await running.until(lambda: running.room.states[-1] == "speaking")
        await running.listen(0.5)
        running.agent.read("Stop, tell me this")
        await running.until(lambda: len(running.room.reports) == 2)
        interrupt = running.engines.thinker.of(Interrupt)[0]
        assert interrupt.epoch == 2
        assert [report["epoch"] for report in running.room.reports] == [1, 3]
        assert running.room.reports[1]["heard_tokens"] == 40


@virtually
async def test_voice_while_thinking_takes_the_question_further() -> None:
    async with call() as running:
        running.engines.thinker.think_s = 1.0
        await running.say(1.0)
        await running.until(lambda: running.room.states[-1] == "thinking")
        await running.say(0.6)
        interrupt = running.engines.thinker.of(Interrupt)[0]
        assert isinstance(interrupt, Interrupt)
        assert interrupt.heard_tokens == 0
        await running.until(lambda: running.room.states[-1] == "speaking")
        assert running.room.audio.speech()[0] == 1


@virtually
async def test_a_microphone_that_goes_deaf_still_ends_its_turn() -> None:
    async with call() as running:
        await running.say(1.0)
        await asyncio.sleep(2.0)
        assert phases(running) == ["started", "paused", "ended"]


@virtually
async def test_a_lost_actor_leaves_a_face_and_a_notice() -> None:
    async with call() as running:
        await answered(running)
        running.engines.events.actor_state(LinkState.LOST)
        running.engines.actor.credit = -10
        before = len(running.room.video.shown)
        await running.listen(1.0)
        assert len(running.room.video.shown) - before == pytest.approx(25, abs=2)
        assert running.room.attributes["xs.error"]
        assert running.room.states[-1] == "listening"
        running.engines.actor.credit = 0
        running.engines.actor.number = 0
        running.engines.events.actor_state(LinkState.OPEN)
        await running.listen(1.0)
        assert running.room.attributes["xs.error"] == CUT_OFF
        assert running.engines.actor.number > 0


@virtually
async def test_an_actor_that_owes_a_chunk_too_long_is_opened_again() -> None:
    async with call(engine_silence_s=1.0) as running:
        running.engines.actor.render_s = 30.0
        await running.listen(3.0)
        assert running.engines.actor.lost


@virtually
async def test_an_actor_that_is_away_is_asked_for_nothing_and_owes_nothing() -> None:
    async with call(engine_silence_s=1.0) as running:
        running.engines.events.actor_state(LinkState.LOST)
        granted = len(running.engines.actor.of(Grant))
        await running.listen(5.0)
        assert len(running.engines.actor.of(Grant)) == granted
        assert not running.engines.actor.lost, "it would be opened twice when it is back"
        running.engines.actor.credit = running.engines.actor.number = 0
        running.engines.events.actor_state(LinkState.OPEN)
        await answered(running)


@virtually
async def test_a_noise_that_does_not_end_holds_an_answer_for_a_moment_only() -> None:
    async with call(barge_in_ms=5_000, hold_ms=60) as running:
        running.agent.read("Hello")
        await running.until(lambda: running.room.states[-1] == "speaking")
        began_s = now_s()
        await running.say(3.0)
        gaps = [
            later.at_s - earlier.at_s - 0.02
            for earlier, later in pairwise(p for p in running.room.audio.played if p.pcm.any())
        ]
        assert 0.3 < max(gaps) < 1.0
        assert running.room.audio.last_speech_s() > began_s + 1.5


@virtually
async def test_a_reply_that_never_comes_is_given_up() -> None:
    async with call(reply_timeout_s=3.0) as running:
        running.engines.thinker.think_s = 60.0
        running.agent.read("Hello")
        await running.until(lambda: running.room.states[-1] == "thinking")
        await running.until(lambda: running.room.states[-1] == "listening")
        assert running.engines.thinker.of(Interrupt)
        assert running.room.attributes["xs.error"]


@virtually
async def test_an_agent_that_was_cut_off_shows_the_last_turn_again() -> None:
    async with call() as running:
        running.agent.read("Hello")
        await running.until(lambda: running.room.reports)
        said = running.room.captions["reply-1"].text
        running.room.captions.clear()
        running.agent.reconnected()
        await running.listen(0.5)
        assert running.room.captions["reply-1"].text == said
        assert running.room.captions["reply-1"].final


@virtually
async def test_a_caller_who_comes_back_is_shown_the_last_turn_again() -> None:
    async with call() as running:
        running.agent.read("Hello")
        await running.until(lambda: running.room.reports)
        said = running.room.captions["reply-1"].text
        running.agent.caller_left()
        running.room.captions.clear()
        running.agent.caller_came()
        await running.listen(0.5)
        assert said
        assert running.room.captions["reply-1"].text == said


@virtually
async def test_hanging_up_ends_the_call_and_closes_both_lines() -> None:
    async with call(leave_after_s=1.0) as running:
        running.agent.caller_left()
        await running.listen(0.5)
        running.agent.caller_came()
        await running.listen(2.0)
        assert not running.ended.done()
        running.agent.caller_left()
        await asyncio.sleep(1.5)
        assert running.ended.done()
        assert running.ended.result() == "the caller left"
        assert running.engines.thinker.closed
        assert running.engines.actor.closed


def moods(running: Call) -> list[Mood]:
    """What the Actor was told, in order."""
    return [m.mood for m in running.engines.actor.of(SetMood)]  # type: ignore[attr-defined]


@virtually
async def test_the_actor_knows_the_faces_own_mood_before_it_renders_and_when_it_changes() -> None:
    warm, serious = Mood(expression="warm"), Mood(expression="serious", pitch_deg=3.0)
    async with call(JOB.model_copy(update={"mood": warm})) as running:
        first = [type(m) for m in running.engines.actor.said[:2]]
        assert first == [SetMood, Grant]
        running.agent.told("")
        running.agent.told("another program's")
        assert moods(running) == [warm]
        running.agent.told(RoomState(mood=serious).to_metadata())
        assert moods(running) == [warm, serious]
        running.engines.events.actor_state(LinkState.LOST)
        running.engines.events.actor_state(LinkState.OPEN)
        assert moods(running) == [warm, serious, serious], "a new session knows nothing"
