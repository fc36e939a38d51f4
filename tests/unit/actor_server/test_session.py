"""Laws of one session: credit, counters, epochs, late speech, interrupts."""

import random

import numpy as np
import pytest

from actor_server.codec.mesh.latent import BROW_LEFT, FURROW, POSE, YAW, portrait_latent
from actor_server.errors import SpeechRefused
from actor_server.face import Drawn
from actor_server.motion.mood import MoodMotion
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Floats
from actor_server.saving import Saving
from actor_server.session import MAX_CREDIT, ActorSession, Pacing
from proto.messages import (
    AVChunk,
    Grant,
    HiddenChunk,
    Interrupt,
    Listen,
    Mood,
    MoodChange,
    SetMood,
    SpokenMood,
)
from proto.time_law import CHUNK_FRAMES, CHUNK_US, FRAME_WIDTH, I420_ROWS, TOKEN_SAMPLES
from tests.unit.actor_server.conditions import parts_of, reply
from tests.unit.actor_server.faces import SketchFace
from tests.unit.actor_server.passes import STILL, PassMotion

pytestmark = pytest.mark.unit

MOTION = ProceduralMotion()
PACING = Pacing(idle_hold_us=120_000, underrun_hold_us=240_000)


def open_session(face: SketchFace | None = None, seed: int = 1) -> ActorSession:
    return ActorSession("s", face or SketchFace(), MOTION, seed, PACING)


def grant(credit: int = 1, epoch: int = 0) -> Grant:
    return Grant(session_id="s", credit=credit, epoch=epoch)


def interrupt(epoch: int, last_shown_chunk: int) -> Interrupt:
    return Interrupt(
        session_id="s", epoch=epoch, turn=1, heard_tokens=0, last_shown_chunk=last_shown_chunk
    )


def take(session: ActorSession, count: int, now_us: int = 0) -> list[AVChunk]:
    session.deliver(grant(count), now_us)
    chunks = [session.step(now_us) for _ in range(count)]
    assert all(chunk is not None for chunk in chunks)
    return [chunk for chunk in chunks if chunk is not None]


def test_nothing_is_due_without_credit() -> None:
    session = open_session()
    session.deliver(reply(), 0)
    assert session.due_us() is None


def test_chunks_count_from_zero_on_the_media_clock() -> None:
    chunks = take(open_session(), 5)
    assert [chunk.chunk for chunk in chunks] == [0, 1, 2, 3, 4]
    assert [chunk.pts_us for chunk in chunks] == [n * CHUNK_US for n in range(5)]


def test_the_first_chunk_of_a_call_does_not_wait() -> None:
    session = open_session()
    session.deliver(grant(), 1_000)
    assert session.due_us() == 1_000


def test_a_quiet_chunk_waits_for_speech_and_speech_ends_the_wait() -> None:
    session = open_session()
    take(session, 1)
    session.deliver(grant(), 1_000_000)
    assert session.due_us() == 1_120_000
    session.deliver(reply(), 1_050_000)
    assert session.due_us() == 1_000_000


def test_credit_is_bounded() -> None:
    session = open_session()
    for _ in range(5):
        session.deliver(grant(MAX_CREDIT), 0)
    assert session.credit == MAX_CREDIT


def test_a_reply_begins_with_its_token_zero_at_the_next_chunk() -> None:
    session = open_session()
    take(session, 3)
    whole = reply("AA " * 15)
    session.deliver(whole, 0)
    chunks = take(session, 7)
    assert [chunk.first_token for chunk in chunks[:5]] == [0, 4, 8, 12, 16]
    assert [chunk.audio_tokens for chunk in chunks] == [4, 4, 4, 4, 3, 0, 0]
    assert [chunk.last for chunk in chunks] == [False] * 4 + [True] + [False] * 2
    assert {chunk.turn for chunk in chunks} == {1}
    sound = np.concatenate([chunk.pcm for chunk in chunks])
    assert whole.pcm is not None
    assert np.array_equal(sound[: len(whole.pcm)], whole.pcm)
    assert not sound[len(whole.pcm) :].any()


def test_late_speech_leaves_silence_and_goes_on_with_the_next_token() -> None:
    session = open_session()
    first, rest = parts_of(reply("AA " * 10), [6])
    session.deliver(first, 0)
    begun = take(session, 1)
    session.deliver(grant(), 1_000_000)
    assert session.due_us() == 1_240_000
    waited = session.step(1_240_000)
    assert waited is not None
    assert waited.audio_tokens == 0
    assert not waited.pcm.any()
    session.deliver(rest, 1_300_000)
    resumed = take(session, 3)
    assert [chunk.first_token for chunk in begun + resumed[:3]] == [0, 4, 8, 12]
    assert [chunk.audio_tokens for chunk in resumed] == [4, 4, 1]
    assert resumed[-1].last


def test_an_end_that_comes_after_the_last_token_is_still_marked() -> None:
    session = open_session()
    first, rest = parts_of(reply("AA " * 7), [4])
    assert rest.audio_tokens == 5
    session.deliver(first, 0)
    session.deliver(rest.model_copy(update={"final": False}), 0)
    take(session, 2)
    tokens = first.audio_tokens + rest.audio_tokens
    assert session.due_us() is None
    last = HiddenChunk(
        session_id="s", epoch=1, turn=1, first_token=tokens, audio_tokens=0, final=True
    )
    session.deliver(last, 0)
    chunks = take(session, 2)
    assert [chunk.last for chunk in chunks] == [True, False]
    assert chunks[0].audio_tokens == 1


def test_a_final_part_without_tokens_marks_the_next_chunk() -> None:
    session = open_session()
    whole = reply("AA " * 16)  # 20 tokens
    session.deliver(whole.model_copy(update={"final": False}), 0)
    spoken = take(session, 5)
    assert not any(chunk.last for chunk in spoken)
    session.deliver(grant(), 1_000_000)
    assert session.due_us() == 1_240_000, "more speech is waited for"
    end = HiddenChunk(session_id="s", epoch=1, turn=1, first_token=20, audio_tokens=0, final=True)
    session.deliver(end, 1_000_000)
    assert session.due_us() == 1_120_000, "no longer than when nobody speaks"
    assert [chunk.last for chunk in take(session, 2)] == [True, False]


def test_speech_of_a_higher_epoch_replaces_what_was_being_said() -> None:
    session = open_session()
    session.deliver(reply("AA " * 40, epoch=1, turn=1), 0)
    take(session, 2)
    session.deliver(reply("IY " * 40, epoch=2, turn=2), 0)
    chunk = take(session, 1)[0]
    assert (chunk.turn, chunk.first_token, chunk.epoch) == (2, 0, 2)


def test_speech_of_a_lower_epoch_is_never_heard() -> None:
    session = open_session()
    session.deliver(interrupt(5, -1), 0)
    session.deliver(reply(epoch=4), 0)
    assert take(session, 1)[0].audio_tokens == 0


def test_an_interrupt_takes_back_credit_and_rewinds_the_counter() -> None:
    session = open_session()
    session.deliver(reply("AA " * 40), 0)
    take(session, 6)
    session.deliver(grant(2), 0)
    session.deliver(interrupt(2, 3), 0)
    assert session.due_us() is None
    chunks = take(session, 2)
    assert [chunk.chunk for chunk in chunks] == [4, 5]
    assert all(chunk.audio_tokens == 0 and chunk.epoch == 2 for chunk in chunks)


def test_an_interrupt_that_names_a_chunk_not_made_yet_goes_on_from_the_last_made() -> None:
    session = open_session()
    take(session, 2)
    session.deliver(interrupt(1, 9), 0)
    assert take(session, 1)[0].chunk == 2


def test_the_pose_goes_on_from_the_last_frame_shown() -> None:
    face = SketchFace()
    session = open_session(face)
    session.deliver(reply("AA M " * 30), 0)
    take(session, 10)
    session.deliver(interrupt(2, 4), 0)
    shown = face.drawn[4 * 8 + 7]
    take(session, 1)
    assert np.degrees(np.abs(face.drawn[80] - shown)[POSE]).max() < 1.5


def test_a_listening_face_differs_from_an_idle_one() -> None:
    quiet, attentive = SketchFace(), SketchFace()
    idle, listening = open_session(quiet), open_session(attentive)
    voice = np.full((4, 8, 80), 0.35, np.float16)
    for _ in range(20):
        listening.deliver(Listen(session_id="s", speaking=True, features=voice), 0)
        take(listening, 1)
        take(idle, 1)
    assert np.abs(np.array(quiet.drawn) - np.array(attentive.drawn)).max() > 0.05


def test_speech_with_a_gap_is_refused_and_the_session_lives_on() -> None:
    session = open_session()
    part = reply("AA " * 20)
    session.deliver(part.model_copy(update={"final": False}), 0)
    with pytest.raises(SpeechRefused):
        session.deliver(part.model_copy(update={"first_token": 30}), 0)
    assert take(session, 1)[0].audio_tokens == 4


@pytest.mark.parametrize("seed", range(20))
def test_accounting_holds_for_any_order_of_messages(seed: int) -> None:
    """Random calls: credit is never exceeded, counters never skip, tokens follow one another."""
    chance = random.Random(seed)
    session, granted, taken = open_session(seed=seed), 0, 0
    epoch, turn, expected, shown = 0, 0, 0, -1
    next_token: dict[int, int] = {}
    waiting: list[HiddenChunk] = []
    for _ in range(150):
        match chance.choice(["grant", "step", "step", "speak", "part", "stop", "listen"]):
            case "grant":
                credit = chance.randint(1, 3)
                granted = min(granted + credit, MAX_CREDIT)
                session.deliver(grant(credit, epoch), 0)
            case "speak" if not waiting:
                epoch, turn = epoch + 1, turn + 1
                whole = reply("AA M " * chance.randint(2, 10), epoch=epoch, turn=turn)
                waiting = parts_of(whole, [chance.randint(4, 26) for _ in range(5)])
            case "part" if waiting:
                session.deliver(waiting.pop(0), 0)
            case "stop":
                epoch, granted = epoch + 1, 0
                shown = chance.randint(max(-1, expected - 8), max(-1, expected - 1))
                session.deliver(interrupt(epoch, shown), 0)
                expected, waiting = shown + 1, []
            case "listen":
                voice = np.zeros((2, 8, 80), np.float16)
                heard = Listen(session_id="s", epoch=epoch, speaking=True, features=voice)
                session.deliver(heard, 0)
            case "step" if granted:
                chunk = session.step(0)
                assert chunk is not None
                taken, granted = taken + 1, granted - 1
                assert chunk.chunk == expected
                expected += 1
                if chunk.audio_tokens:
                    assert chunk.first_token == next_token.get(chunk.turn, 0)
                    next_token[chunk.turn] = chunk.first_token + chunk.audio_tokens
                    silent_from = chunk.audio_tokens * TOKEN_SAMPLES
                    assert not chunk.pcm[silent_from:].any()
                else:
                    assert not chunk.pcm.any()
        assert session.credit == granted
        assert (session.due_us() is None) == (granted == 0)
    assert taken > 0


def test_motion_level_is_higher_when_speaking() -> None:
    session = open_session()
    quiet = take(session, 4)
    session.deliver(reply("AA M EY B " * 10), 0)
    lively = take(session, 8)
    assert np.mean([chunk.motion_level for chunk in lively]) > 3 * np.mean(
        [chunk.motion_level for chunk in quiet]
    )
    assert all(0 <= chunk.motion_level <= 1 for chunk in quiet + lively)


def test_what_delayed_the_first_chunk_is_traced_whichever_part_it_came_with() -> None:
    session = open_session()
    take(session, 1)
    first, second, third = parts_of(reply(), [1, 5, 14])
    session.deliver(first.stamped("actor_received", 10, "here"), 10)
    session.deliver(second.stamped("actor_received", 20, "here").stamped("decoded", 21, "here"), 21)
    begun, after = take(session, 2, now_us=30)
    session.deliver(third.stamped("actor_received", 40, "here"), 40)
    assert [(stamp.name, stamp.at_us) for stamp in begun.stamps][:3] == [
        ("actor_received", 10),
        ("decoded", 21),
        ("actor_entered", 30),
    ]
    assert not after.stamps


def set_mood(mood: Mood, epoch: int = 0) -> SetMood:
    return SetMood(session_id="s", mood=mood, epoch=epoch)


class Film:
    """A face and its painter: the latents of every chunk, undrawn."""

    reference = portrait_latent()

    def __init__(self) -> None:
        self.chunks: list[Floats] = []

    def painter(self) -> "Film":
        return self

    def draw(self, latents: Floats) -> Drawn:
        self.chunks.append(latents)
        return Drawn(np.zeros((CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH), np.uint8), 0.0)

    def rollback(self, chunk: int) -> None:
        del self.chunks[chunk + 1 :]

    def ease(self, saving: Saving) -> None:
        """Nothing is drawn."""

    def furrows(self) -> list[float]:
        """Of the last frame of each chunk, beside a face that only moods move."""
        return [float(chunk[-1, FURROW] - np.float32(STILL)) for chunk in self.chunks]


def moody_session() -> tuple[ActorSession, Film]:
    film = Film()
    return ActorSession("s", film, MoodMotion(PassMotion(passes=1)), 1, PACING), film


SERIOUS, SURPRISED = Mood(expression="serious"), Mood(expression="surprised")


def test_the_calls_own_mood_is_there_between_replies_and_under_them() -> None:
    session, film = moody_session()
    take(session, 1)
    session.deliver(set_mood(SERIOUS), 0)
    session.deliver(reply("AA " * 15), 0)
    take(session, 8)
    shown = film.furrows()
    assert shown[0] == 0.0
    assert min(shown[2:]) > 0.5


def test_a_replys_mood_begins_at_its_token_and_ends_with_the_reply() -> None:
    session, film = moody_session()
    changed = (MoodChange(first_token=8, mood=SpokenMood(meant=SERIOUS)),)
    session.deliver(reply("AA " * 25).model_copy(update={"moods": changed}), 0)
    take(session, 20)
    shown = film.furrows()
    assert shown[:2] == [0.0, 0.0]
    assert shown[2] > 0.3
    assert min(shown[4:8]) > 0.55
    assert shown[-1] == 0.0


def test_late_speech_does_not_end_its_mood_and_an_interrupt_does() -> None:
    session, film = moody_session()
    changed = (MoodChange(first_token=0, mood=SpokenMood(meant=SERIOUS)),)
    first, _ = parts_of(reply("AA " * 20).model_copy(update={"moods": changed}), [8])
    session.deliver(first, 0)
    take(session, 6)
    assert film.furrows()[-1] > 0.55, "four chunks of silence within the reply"
    session.deliver(interrupt(2, 5), 0)
    take(session, 10)
    assert film.furrows()[-1] == 0.0


def test_a_clauses_mood_leaves_what_it_does_not_name_as_the_call_has_it() -> None:
    session, film = moody_session()
    session.deliver(set_mood(Mood(expression="serious", yaw_deg=8.0), epoch=0), 0)
    changed = (MoodChange(first_token=0, mood=SpokenMood(meant=SURPRISED)),)
    session.deliver(reply("AA " * 25, epoch=3).model_copy(update={"moods": changed}), 0)
    take(session, 6)
    last = film.chunks[-1][-1]
    assert last[YAW] > np.radians(8.0)
    assert last[BROW_LEFT] > STILL + 0.8
    assert film.furrows()[-1] < 0.1


def test_what_words_suggest_gives_way_to_the_calls_own_mood() -> None:
    session, film = moody_session()
    session.deliver(set_mood(Mood(expression="neutral")), 0)
    guessed = (MoodChange(first_token=0, mood=SpokenMood(guess=SERIOUS)),)
    session.deliver(reply("AA " * 60).model_copy(update={"moods": guessed}), 0)
    take(session, 6)
    assert max(map(abs, film.furrows())) == 0.0
    session.deliver(set_mood(Mood()), 0)
    take(session, 6)
    assert film.furrows()[-1] > 0.3


def test_a_mood_set_in_an_epoch_that_is_over_still_counts() -> None:
    session, film = moody_session()
    session.deliver(reply(epoch=5), 0)
    session.deliver(set_mood(SERIOUS, epoch=4), 0)
    take(session, 5)
    assert film.furrows()[-1] > 0.5
