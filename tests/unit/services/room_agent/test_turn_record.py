"""A turn's moments become points after the caller's last sound, and stages between them."""

import pytest
from pydantic import ValidationError

from proto.message import Stamp
from proto.wire.clock import host
from services.room_agent.records import BargeIn, TurnRecord
from services.room_agent.stages import POINTS, STAGES, spans
from services.room_agent.turn_timing import TurnTiming

pytestmark = pytest.mark.unit

END_US = 50_000_000
STAMPS_MS = {
    "user_speech_end": 130,
    "transcript_final": 200,
    "first_token": 320,
    "first_clause": 500,
    "speech_ready": 530,
    "thinker_sent": 560,
    "actor_received": 562,
    "actor_speech_decoded": 566,
    "actor_entered": 570,
    "actor_clean": 590,
    "actor_decoded": 600,
}


def timing() -> TurnTiming:
    turn = TurnTiming(turn=3, epoch=5, voice_end_us=END_US, ended_us=END_US + 550_000)
    turn.uplink_us = 60_000
    turn.paused_us = END_US + 128_000
    turn.trace(Stamp(name=n, at_us=END_US + 1000 * ms, host=host()) for n, ms in STAMPS_MS.items())
    turn.mark("first_chunk_us", END_US + 605_000)
    turn.mark("first_shown_us", END_US + 606_000)
    turn.mark("voice_rendered_us", END_US + 680_000)
    turn.mark("face_rendered_us", END_US + 650_000)
    return turn


def test_points_count_from_the_callers_mouth_and_not_from_the_agents_ear() -> None:
    record = timing().record(END_US)
    assert record.points["voice_end"] == 0
    assert record.points["voice_received"] == 60
    assert record.points["turn_decided"] == 610
    assert record.voice_to_face_ms == 710
    assert record.voice_to_voice_ms == 740
    assert set(record.points) == set(POINTS)


def test_the_stages_of_a_whole_turn_reach_from_the_voice_to_the_screen_without_a_hole() -> None:
    found = spans(timing().record(END_US).points)
    assert [span.stage for span in found] == list(STAGES)
    assert found[0].start_ms == 0
    covered = 0.0
    for span in sorted(found, key=lambda s: s.start_ms):
        assert span.start_ms <= covered
        covered = max(covered, span.end_ms)
    assert covered == 740


def test_work_that_was_done_ahead_takes_no_time_afterwards() -> None:
    points = {"speech_ready": 300.0, "turn_decided": 500.0, "thinker_sent": 499.0}
    (release,) = spans(points)
    assert (release.start_ms, release.end_ms) == (499, 499)


def test_stamps_of_another_hosts_clock_are_left_out() -> None:
    turn = timing()
    turn.stamps_us.clear()
    turn.trace([Stamp(name="first_token", at_us=1, host="another")])
    assert "first_token" not in turn.record(END_US).points


def test_a_barge_in_is_counted_from_the_callers_first_sound() -> None:
    turn = timing()
    turn.barge_in_us, turn.barge_in_uplink_us = END_US + 2_000_000, 30_000
    turn.held_us = END_US + 2_080_000
    turn.mark("interrupted_us", END_US + 2_224_000)
    turn.mark("silence_rendered_us", END_US + 2_150_000)
    barge_in = turn.record(END_US).barge_in
    assert barge_in == BargeIn(detected_ms=110, noticed_ms=254, silence_ms=180, still_ms=None)
    assert barge_in.after_detection_ms(barge_in.silence_ms) == 70
    assert barge_in.after_detection_ms(barge_in.still_ms) is None


def test_an_answer_that_did_not_hold_its_breath_was_detected_when_it_was_cut() -> None:
    turn = timing()
    turn.barge_in_us = END_US + 2_000_000
    turn.mark("interrupted_us", END_US + 2_224_000)
    assert turn.record(END_US).barge_in == BargeIn(detected_ms=224, noticed_ms=224)


def test_reports_from_before_the_detection_was_noted_can_still_be_read() -> None:
    barge_in = BargeIn.model_validate({"noticed_ms": 200, "silence_ms": 260, "still_ms": 300})
    assert barge_in.after_detection_ms(barge_in.silence_ms) is None


def test_a_record_with_an_unknown_point_is_refused() -> None:
    good = timing().record(END_US).model_dump()
    good["points"]["lunch"] = 3.0
    with pytest.raises(ValidationError, match="lunch"):
        TurnRecord.model_validate(good)
