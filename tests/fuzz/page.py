"""What a caller's page says on its data topics, against the turn that it is said about."""

import json
import time
from random import Random
from typing import Any

from services.room_agent import witness
from services.room_agent.turn_timing import TurnTiming
from tests.fuzz.figures import Figures
from tests.fuzz.mutation import HOSTILE, RAW

TOPICS = sorted(witness.PAGE_TOPICS)
HONEST: dict[str, dict[str, Any]] = {
    "xs.clock": {"sent_ms": 1.5, "round_trip_ms": 20},
    "xs.then": {"turn": 1, "epoch": 1, "moment": "began", "error_us": 100},
    "xs.quality": {
        "seconds": 5,
        "fps": 25,
        "freezes": 0,
        "frozen_ms": 0,
        "concealed_percent": 0,
        "av_offset_ms": 1,
    },
}
NOW_US = 50_000_000_000
NUMBERS = (0, 1, -1, 0.5, 1e6, 4_999_999, 5_000_001, 600_001, 2**31, 2**53, 1e15)


def fuzz_page(count: int) -> Figures:
    """So many messages; after each that is believed the turn must still make a record."""
    began_s = time.monotonic()
    chance = Random(1)
    taken, findings = 0, list[str]()
    for _ in range(count):
        topic, payload = _message(chance)
        try:
            taken += _hear(topic, payload, chance)
        except Exception as crash:  # noqa: BLE001 - whatever comes out is a finding
            findings.append(f"{topic} {payload[:200]!r}: {crash!r}")
    seconds = round(time.monotonic() - began_s, 1)
    return Figures("page", count, taken, len(findings), seconds, findings=tuple(findings[:20]))


def _hear(topic: str, payload: bytes, chance: Random) -> bool:
    said = witness.read(topic, payload)
    now = NOW_US
    timing = TurnTiming(1, 1, now - 900_000, now - 800_000, first_shown_us=now - 500_000)
    if chance.random() < 0.5:
        timing.interrupted_us, timing.barge_in_us = now - 100_000, now - 300_000
    if isinstance(said, witness.Then):
        witness.note(said, timing)
        timing.record(now)
    return said is not None


def _message(chance: Random) -> tuple[str, bytes]:
    topic = chance.choice(TOPICS)
    said = dict(HONEST[chance.choice(TOPICS)] if chance.random() < 0.1 else HONEST[topic])
    if topic == "xs.then":
        now = NOW_US
        for name in ("heard_us", "seen_us"):
            said[name] = chance.choice((*NUMBERS, now, now - 500_000, now + 5_000_000, None))
        said["moment"] = chance.choice(("began", "cut"))
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        said[chance.choice([*said, "extra"])] = chance.choice(
            NUMBERS if chance.random() < 0.7 else HOSTILE
        )
    payload = json.dumps(said).encode()
    if chance.random() < 0.2:
        at = chance.randrange(len(payload))
        payload = payload[:at] + chance.choice(RAW) + payload[at + chance.randrange(20) :]
    return topic, payload
