"""The credit law: enough chunks to bridge the Actor's latency, no more."""

import pytest

from services.room_agent.credit import MAX_LEAD_US, MIN_LEAD_US, CreditLaw

pytestmark = pytest.mark.unit


def test_an_idle_chunk_is_asked_for_when_the_lead_is_reached_and_only_once() -> None:
    law = CreditLaw()
    assert law.grant(0, law.lead_us + 1, speaking=False, now_us=0) == 0
    assert law.grant(0, law.lead_us, speaking=False, now_us=0) == 1
    assert law.grant(0, 0, speaking=False, now_us=0) == 0
    law.arrived(50_000)
    assert law.grant(1, 0, speaking=False, now_us=60_000) == 0


def test_speech_keeps_two_chunks_ahead() -> None:
    law = CreditLaw()
    assert law.grant(0, 0, speaking=True, now_us=0) == 2
    law.arrived(40_000)
    assert law.grant(1, 320_000, speaking=True, now_us=50_000) == 0
    assert law.grant(0, 320_000, speaking=True, now_us=60_000) == 1


@pytest.mark.parametrize(
    ("latency_us", "lead_us"), [(10_000, MIN_LEAD_US), (190_000, 270_000), (2_000_000, MAX_LEAD_US)]
)
def test_the_lead_follows_the_actors_latency_within_bounds(latency_us: int, lead_us: int) -> None:
    law = CreditLaw()
    now_us = 1_000_000
    for _ in range(100):
        assert law.grant(0, 0, speaking=False, now_us=now_us) == 1
        law.arrived(now_us + latency_us)
        now_us += 5_000_000
    assert law.lead_us == pytest.approx(lead_us, abs=2_000)


def test_a_debt_is_as_old_as_its_grant() -> None:
    law = CreditLaw()
    assert law.waiting_us(5_000_000) == 0
    law.grant(0, 0, speaking=True, now_us=1_000_000)
    assert law.waiting_us(1_400_000) == 400_000
    law.arrived(1_400_000)
    assert law.waiting_us(1_500_000) == 100_000
    law.reset()
    assert law.waiting_us(9_000_000) == 0
    assert law.grant(0, 0, speaking=True, now_us=9_000_000) == 2
