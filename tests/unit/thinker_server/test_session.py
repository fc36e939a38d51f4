"""The session's state machine, on doubles of the models."""

import asyncio

import numpy as np
import pytest

from proto.messages import (
    Failure,
    HiddenChunk,
    Interrupt,
    TextDelta,
    Transcript,
    TurnEnd,
    UserAudio,
    UserText,
)
from tests.unit.thinker_server.doubles import (
    EvenVoice,
    ScriptedConversation,
    Wired,
    wired_session,
)
from thinker_server.brain.brain import ChatMessage
from thinker_server.errors import BrainUnavailable
from thinker_server.listening import BLOCK_US, UPDATE_US
from thinker_server.reply import ReplyLimits
from thinker_server.speaking.voice import Utterance

pytestmark = pytest.mark.unit

LONG = "one two three four five six seven eight. nine ten eleven twelve. and more"


async def test_a_spoken_turn_is_transcribed_answered_and_spoken() -> None:
    async with wired_session(ScriptedConversation(["It is Paris."]), ["Which city?"]) as wired:
        end = await wired.ask(1)
        transcripts = [m for m in wired.agent if isinstance(m, Transcript)]
        words = [m.text for m in wired.agent if isinstance(m, TextDelta)]
        chunks = [m for m in wired.actor if isinstance(m, HiddenChunk)]
    assert [(t.text, t.final) for t in transcripts[-1:]] == [("Which city?", True)]
    assert "".join(words) == "It is Paris."
    assert end.reason == "completed"
    assert sum(chunk.audio_tokens for chunk in chunks) == end.audio_tokens == 12
    assert [chunk.final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.turn, chunk.epoch) for chunk in chunks} == {(1, 1)}


async def test_partial_words_arrive_while_the_caller_still_talks() -> None:
    async with wired_session(ScriptedConversation(["Yes."]), ["Which city?"]) as wired:
        wired.talk(1, blocks=UPDATE_US // BLOCK_US)
        partial = await wired.until(Transcript)
    assert isinstance(partial, Transcript)
    assert (partial.text, partial.final) == ("Which city?", False)


async def test_nothing_of_a_speculation_leaves_before_the_turn_ends() -> None:
    async with wired_session(ScriptedConversation(["It is Paris."]), ["Which city?"]) as wired:
        wired.talk(1)
        wired.boundary("paused", 1, epoch=0)
        await wired.until_state("speculating")
        await wired.until_state("hearing")  # the private reply is complete
        assert not wired.actor
        assert not [m for m in wired.agent if isinstance(m, TextDelta | TurnEnd)]
        wired.boundary("ended", 1, epoch=7)
        await wired.until(TurnEnd)
        assert {chunk.epoch for chunk in wired.actor} == {7}
    assert len(wired.conversation.prompts) == 1


async def test_a_speculation_is_thrown_away_when_the_caller_goes_on() -> None:
    conversation = ScriptedConversation(["Wrong answer.", "Right answer."])
    async with wired_session(conversation, ["Which city?"]) as wired:
        wired.talk(1)
        wired.boundary("paused", 1, epoch=0)
        await wired.until_prompted()
        wired.boundary("started", 1, epoch=0)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TurnEnd)
        words = [m.text for m in wired.agent if isinstance(m, TextDelta)]
    assert "".join(words) == "Right answer."
    assert len(wired.recogniser.streams) == 1, "the turn went on in the same stream"
    assert conversation.prompts[1] == conversation.prompts[0], "no trace of the first answer"


async def test_an_interrupt_stops_the_brain_and_keeps_only_what_was_heard() -> None:
    conversation = ScriptedConversation([LONG, "Fine."], hold_after=10)
    async with wired_session(conversation, ["Count!", "And now?"]) as wired:
        wired.talk(1)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TextDelta)
        wired.session.receive(
            Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=9, last_shown_chunk=0)
        )
        end = await wired.until(TurnEnd)
        assert isinstance(end, TurnEnd)
        assert end.reason == "interrupted"
        assert conversation.stopped_early == 1
        conversation.hold_after = 10_000
        await wired.ask(3)
    # Words last 4 tokens: after 9 tokens two have sounded and of the third less than half.
    assert conversation.prompts[1][1:] == [
        ChatMessage("user", "Count!"),
        ChatMessage("assistant", "one two"),
        ChatMessage("user", "And now?"),
    ]


async def test_an_interrupt_during_playout_cuts_a_reply_that_was_complete() -> None:
    conversation = ScriptedConversation(["one two three four.", "Fine."])
    async with wired_session(conversation, ["Count!", "And now?"]) as wired:
        await wired.ask(1)
        wired.session.receive(
            Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=12, last_shown_chunk=2)
        )
        await wired.ask(3)
    assert ChatMessage("assistant", "one two three") in conversation.prompts[1]


async def test_a_question_whose_answer_was_not_heard_stays_asked() -> None:
    conversation = ScriptedConversation(["one two.", "Fine."])
    async with wired_session(conversation, ["Which city?", "In France."]) as wired:
        await wired.ask(1)
        wired.session.receive(
            Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
        )
        await wired.ask(3)
    assert conversation.prompts[1][1:] == [ChatMessage("user", "Which city? In France.")]


async def test_a_turn_in_which_nothing_was_understood_ends_empty() -> None:
    async with wired_session(ScriptedConversation(["Never."]), [""]) as wired:
        end = await wired.ask(1)
    assert (end.reason, end.audio_tokens) == ("empty", 0)
    assert not wired.conversation.prompts
    assert not wired.actor


async def cut_before_it_sounds(wired: Wired, turn: int) -> None:
    """Ask, and cut in while the brain has not begun to answer."""
    wired.talk(turn)
    wired.boundary("ended", turn, epoch=turn)
    async with asyncio.timeout(5):
        while len(wired.conversation.prompts) < turn:
            await asyncio.sleep(0.002)
    wired.session.receive(
        Interrupt(session_id="s", epoch=turn, turn=turn, heard_tokens=0, last_shown_chunk=-1)
    )
    await wired.until(TurnEnd, turn)


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("coughs", [1, 2])
async def test_a_cough_before_the_answer_sounds_does_not_lose_it(coughs: int, pauses: bool) -> None:
    """Nor do the last sounds of a question that seemed to be over."""
    script = [*["It is Paris."] * (coughs + 1), "Fine."]
    conversation = ScriptedConversation(script, hold_after=0)
    async with wired_session(conversation, ["Which city?", *[""] * coughs, "Thanks."]) as wired:
        for turn in range(1, coughs + 1):
            await cut_before_it_sounds(wired, turn)
        conversation.hold_after = 10_000
        wired.talk(coughs + 1)
        if pauses:  # answered in private first
            wired.boundary("paused", coughs + 1, epoch=coughs)
            await wired.until_state("speculating")
            await wired.until_state("hearing")
        wired.boundary("ended", coughs + 1, epoch=coughs + 1)
        end = await wired.until(TurnEnd, coughs + 1)
        assert isinstance(end, TurnEnd)
        assert end.reason == "completed"
        await wired.ask(coughs + 2)
        words = [m.text for m in wired.agent if isinstance(m, TextDelta)]
    assert "".join(words) == "It is Paris.Fine."
    question = ChatMessage("user", "Which city?")
    assert [prompt[1:] for prompt in conversation.prompts[:-1]] == [[question]] * (coughs + 1)
    answer, thanks = ChatMessage("assistant", "It is Paris."), ChatMessage("user", "Thanks.")
    assert conversation.prompts[-1][1:] == [question, answer, thanks]


@pytest.mark.parametrize(
    ("heard_tokens", "reason"), [(None, "empty"), (8, "empty"), (1, "completed")]
)
async def test_a_cough_after_words_of_the_answer_is_no_question(
    heard_tokens: int | None, reason: str
) -> None:
    """A word lasts four tokens; of which one was heard, nothing was understood."""
    conversation = ScriptedConversation(["It is Paris.", "It is Paris."])
    async with wired_session(conversation, ["Which city?", ""]) as wired:
        await wired.ask(1)
        if heard_tokens is not None:
            cut = Interrupt(
                session_id="s", epoch=2, turn=1, heard_tokens=heard_tokens, last_shown_chunk=1
            )
            wired.session.receive(cut)
        end = await wired.ask(2)
    assert end.reason == reason


async def test_a_question_that_was_cut_into_is_transcribed_to_its_end() -> None:
    conversation = ScriptedConversation(["Fine."])
    async with wired_session(conversation, ["Which city?", "In France."]) as wired:
        wired.talk(1)
        wired.boundary("ended", 1, epoch=1)
        cut = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
        wired.session.receive(cut)
        await wired.until(TurnEnd)
        await wired.ask(2)
        finals = [m.text for m in wired.agent if isinstance(m, Transcript) and m.final]
    assert finals == ["Which city?", "In France."]
    assert conversation.prompts[-1][1:] == [ChatMessage("user", "Which city? In France.")]


async def test_typed_text_is_answered_like_speech() -> None:
    async with wired_session(ScriptedConversation(["It is Paris."]), ["-"]) as wired:
        wired.session.receive(UserText(session_id="s", epoch=4, turn=2, text="Which city?"))
        end = await wired.until(TurnEnd)
    assert (end.epoch, getattr(end, "turn", None)) == (4, 2)
    assert wired.conversation.prompts[0][-1] == ChatMessage("user", "Which city?")
    assert not [m for m in wired.agent if isinstance(m, Transcript)]


async def test_a_failing_brain_is_reported_and_the_next_turn_works() -> None:
    conversation = ScriptedConversation(["Fine."], error=BrainUnavailable("the server is down"))
    async with wired_session(conversation, ["Hello?"]) as wired:
        end = await wired.ask(1)
        conversation.error = None
        again = await wired.ask(2)
    failures = [m for m in wired.agent if isinstance(m, Failure)]
    assert [(f.code, f.retryable) for f in failures] == [("brain_unavailable", True)]
    assert (end.reason, again.reason) == ("failed", "completed")


async def test_an_answer_that_fails_in_the_middle_closes_its_speech() -> None:
    broken = BrainUnavailable("the server is down")
    conversation = ScriptedConversation([LONG], error=broken, error_after=10, hold_after=9)
    async with wired_session(conversation, ["Hello?"]) as wired:
        wired.talk(1)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TextDelta)
        conversation.gate.set()
        end = await wired.until(TurnEnd)
    assert isinstance(end, TurnEnd)
    *spoken, last = (m for m in wired.actor if isinstance(m, HiddenChunk))
    tokens = sum(part.audio_tokens for part in spoken)
    assert tokens
    assert (last.final, last.first_token, last.audio_tokens) == (True, tokens, 0)
    assert (end.reason, end.audio_tokens) == ("failed", tokens)


async def test_a_private_answer_that_failed_closes_its_speech_when_it_is_wanted() -> None:
    broken = BrainUnavailable("the server is down")
    conversation = ScriptedConversation([LONG], error=broken, error_after=10, hold_after=9)
    async with wired_session(conversation, ["Hello?"]) as wired:
        wired.talk(1)
        wired.boundary("paused", 1, epoch=0)
        await wired.until_prompted()
        answer = wired.session._answer
        assert answer is not None
        async with asyncio.timeout(5):
            while not answer.outlet.speaks:
                await asyncio.sleep(0.002)
        conversation.gate.set()
        await wired.until_state("hearing")
        assert not wired.actor
        wired.boundary("ended", 1, epoch=1)
        end = await wired.until(TurnEnd)
    assert isinstance(end, TurnEnd)
    *spoken, last = (m for m in wired.actor if isinstance(m, HiddenChunk))
    tokens = sum(part.audio_tokens for part in spoken)
    assert (last.final, last.first_token, last.audio_tokens) == (True, tokens, 0)
    assert (end.reason, end.audio_tokens) == ("failed", tokens)
    assert tokens


async def test_an_answer_that_fails_before_it_is_spoken_tells_the_actor_nothing() -> None:
    conversation = ScriptedConversation(["Fine."], error=BrainUnavailable("the server is down"))
    async with wired_session(conversation, ["Hello?"]) as wired:
        await wired.ask(1)
    assert not wired.actor


async def test_a_masked_brain_fills_no_text_slots() -> None:
    async with wired_session(ScriptedConversation(["Fine."], masked=True), ["Hello?"]) as wired:
        await wired.ask(1)
    assert wired.actor
    assert all(m.text_ids is None for m in wired.actor if isinstance(m, HiddenChunk))


async def test_a_reply_ends_after_the_allowed_number_of_sentences() -> None:
    limits = ReplyLimits(max_tokens=40, max_sentences=2, first_clause_words=9)
    conversation = ScriptedConversation(["One one. Two two. Three three. Four four."])
    async with wired_session(conversation, ["Go."], limits) as wired:
        await wired.ask(1)
    words = [m.text for m in wired.agent if isinstance(m, TextDelta)]
    assert "".join(words) == "One one. Two two."


async def test_half_a_sentence_is_not_spoken_when_the_token_limit_cuts_it() -> None:
    limits = ReplyLimits(max_tokens=6, max_sentences=9, first_clause_words=9)
    conversation = ScriptedConversation(["One one one. Two two two two two."])
    async with wired_session(conversation, ["Go."], limits) as wired:
        end = await wired.ask(1)
    words = [m.text for m in wired.agent if isinstance(m, TextDelta)]
    assert "".join(words) == "One one one."
    assert end.reason == "completed"


async def test_speech_starts_after_the_first_clause() -> None:
    conversation = ScriptedConversation([LONG], hold_after=9)
    async with wired_session(conversation, ["Count!"]) as wired:
        wired.talk(1)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TextDelta)
        assert wired.actor, "speech leaves while the brain is still held back"
        conversation.gate.set()
        await wired.until(TurnEnd)


async def test_audio_before_the_start_of_a_turn_is_heard_too() -> None:
    async with wired_session(ScriptedConversation(["Yes."]), ["Hello?"]) as wired:
        wired.talk(1, blocks=0)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TurnEnd)
        wired.session.receive(_block(1_000_000))
        wired.session.receive(_block(1_020_000))
        wired.session.receive(_block(5_000_000))  # after a gap: the two before belong elsewhere
        wired.talk(2, blocks=3)
        wired.boundary("ended", 2, epoch=2)
        await wired.until(TurnEnd, 2)
    assert wired.recogniser.streams[1].heard_samples == 4 * 320


async def test_closing_frees_the_conversation_and_the_stream() -> None:
    conversation = ScriptedConversation([LONG], hold_after=3)
    async with wired_session(conversation, ["Hello?"]) as wired:
        wired.talk(1)
        wired.boundary("ended", 1, epoch=1)
        await wired.until_state("thinking")
        await asyncio.sleep(0.02)
    assert conversation.closed
    assert all(stream.closed for stream in wired.recogniser.streams)
    assert conversation.stopped_early == 1


async def test_two_sessions_do_not_mix() -> None:
    first, second = ScriptedConversation(["Red."]), ScriptedConversation(["Blue."])
    async with wired_session(first, ["Me?"]) as one, wired_session(second, ["You?"]) as two:
        await asyncio.gather(one.ask(1), two.ask(1))
    assert first.prompts[0][-1].text == "Me?"
    assert second.prompts[0][-1].text == "You?"
    assert [m.text for m in one.agent if isinstance(m, TextDelta)] == ["Red."]
    assert [m.text for m in two.agent if isinstance(m, TextDelta)] == ["Blue."]


def _block(pts_us: int) -> UserAudio:
    return UserAudio(session_id="s", pts_us=pts_us, pcm=np.ones(320, np.int16))


async def test_an_interrupt_before_the_transcript_leaves_no_listener_behind() -> None:
    async with wired_session(ScriptedConversation(["Never."]), ["Which city?"]) as wired:
        wired.talk(1)
        wired.boundary("ended", 1, epoch=1)
        cut = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
        wired.session.receive(cut)
        await wired.until(TurnEnd)
    assert [stream.closed for stream in wired.recogniser.streams] == [True]


async def test_an_answer_that_fails_unforeseen_ends_and_the_next_one_works() -> None:
    conversation = ScriptedConversation(["Fine."], error=IndexError("a library stumbled"))
    async with wired_session(conversation, ["Hello?"]) as wired:
        end = await wired.ask(1)
        conversation.error = None
        again = await wired.ask(2)
    failures = [m for m in wired.agent if isinstance(m, Failure)]
    assert [f.code for f in failures] == ["reply_failed"], "no code that loses the session"
    assert (end.reason, again.reason) == ("failed", "completed")


async def test_a_clause_that_the_voice_cannot_say_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synthesise = EvenVoice.synthesise

    def stumble(voice: EvenVoice, text: str) -> Utterance:
        if "10" in text:
            raise IndexError("list index out of range")
        return synthesise(voice, text)

    monkeypatch.setattr(EvenVoice, "synthesise", stumble)
    conversation = ScriptedConversation(["It is this. Then 10 of them. And that."])
    async with wired_session(conversation, ["How many?"]) as wired:
        end = await wired.ask(1)
    assert end.reason == "completed"
    assert end.audio_tokens == 5 * 4


async def test_an_answer_of_which_nothing_can_be_said_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stumble(voice: EvenVoice, text: str) -> Utterance:
        raise IndexError("list index out of range")

    monkeypatch.setattr(EvenVoice, "synthesise", stumble)
    async with wired_session(ScriptedConversation(["10 of them."]), ["How many?"]) as wired:
        end = await wired.ask(1)
    assert end.reason == "failed"
    assert [m.code for m in wired.agent if isinstance(m, Failure)] == ["reply_failed"]


async def test_whoever_types_in_mid_turn_is_listened_to_anew() -> None:
    async with wired_session(ScriptedConversation(["Yes.", "No."]), ["a", "b"]) as wired:
        wired.talk(1)
        wired.session.receive(UserText(session_id="s", epoch=1, turn=2, text="Which city?"))
        await wired.until(TurnEnd)
        assert [stream.closed for stream in wired.recogniser.streams] == [True]
        for block in range(3):
            wired.session.receive(_block(9_000_000 + block * 20_000))
        wired.talk(3, blocks=0)
        wired.boundary("ended", 3, epoch=3)
        await wired.until(TurnEnd, 2)
    assert wired.recogniser.streams[1].heard_samples == 3 * 320, "the first sounds are kept"


async def test_what_was_heard_before_an_interrupt_was_said() -> None:
    conversation = ScriptedConversation(["Never.", "Fine."])
    async with wired_session(conversation, ["Which city", "In France?"]) as wired:
        wired.talk(1, blocks=UPDATE_US // BLOCK_US)
        await wired.until(Transcript)  # as far as it was shown already
        wired.recogniser.streams[0].gate.clear()
        wired.session.receive(_block(4_000_000))
        wired.boundary("ended", 1, epoch=1)
        cut = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=-1)
        wired.session.receive(cut)
        await wired.until(TurnEnd)
        wired.recogniser.streams[0].gate.set()
        await wired.ask(3)
    finals = [m.text for m in wired.agent if isinstance(m, Transcript) and m.final]
    assert finals == ["Which city", "In France?"]
    assert conversation.prompts[-1][-1] == ChatMessage("user", "Which city In France?")


async def test_a_question_too_long_to_be_read_is_shortened_and_the_caller_told() -> None:
    conversation = ScriptedConversation(["Fine."])
    async with wired_session(conversation, ["-"]) as wired:
        text = " ".join(["very"] * 900)
        wired.session.receive(UserText(session_id="s", epoch=4, turn=2, text=text))
        await wired.until(TurnEnd)
    asked = conversation.prompts[0][-1].text
    assert text.startswith(asked)
    assert 400 < len(asked.split()) <= 500
    assert [m.code for m in wired.agent if isinstance(m, Failure)] == ["question_shortened"]


async def test_what_the_next_question_will_find_is_read_when_an_answer_is_made() -> None:
    conversation = ScriptedConversation(["It is Paris.", "Fine."])
    async with wired_session(conversation, ["Which city?", "And now?"]) as wired:
        await wired.ask(1)
        await wired.until_warmed(2)
        await wired.ask(2)
        await wired.until_warmed(3)
    assert conversation.warmed[0] == conversation.prompts[0][:-1], "the opening"
    assert conversation.warmed[1] == conversation.prompts[1][:-1]
    assert conversation.warmed[1][-1] == ChatMessage("assistant", "It is Paris.")


async def test_it_is_read_when_a_private_answer_is_wanted_and_after_an_interrupt() -> None:
    conversation = ScriptedConversation(["one two three four."])
    async with wired_session(conversation, ["Count!"]) as wired:
        wired.talk(1)
        wired.boundary("paused", 1, epoch=0)
        await wired.until_state("speculating")
        await wired.until_state("hearing")
        assert len(conversation.warmed) == 1, "nobody knows whether it will have been said"
        wired.boundary("ended", 1, epoch=1)
        await wired.until_warmed(2)
        wired.session.receive(
            Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=8, last_shown_chunk=1)
        )
        await wired.until_warmed(3)
    ends = [messages[-1].text for messages in conversation.warmed[1:]]
    assert ends == ["one two three four.", "one two"]


async def test_no_answer_and_no_end_waits_for_what_is_read_ahead() -> None:
    conversation = ScriptedConversation(["Yes.", "No."], warms_for_ever=True)
    async with wired_session(conversation, ["Which city?", "And now?"]) as wired:
        await wired.until_warmed(1)
        assert (await wired.ask(1)).reason == "completed"
        await wired.until_warmed(2)
        assert (await wired.ask(2)).reason == "completed"
        await wired.until_warmed(3)
    assert conversation.closed


async def test_reading_ahead_that_fails_costs_nothing() -> None:
    conversation = ScriptedConversation(["Yes.", "No."], warming_fails=True)
    async with wired_session(conversation, ["Which city?", "And now?"]) as wired:
        ends = [(await wired.ask(turn)).reason for turn in (1, 2)]
    assert ends == ["completed", "completed"]
