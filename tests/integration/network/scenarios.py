"""What befalls the calls, and what the caller then has to get. Runs on the caller's side."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from livekit import rtc

from services.callbench.questions import clip
from tests.integration.network.link import Weather
from tests.integration.network.relay import CALLER, CALLER_ELSEWHERE, CallerEnd, move
from tests.integration.room_agent.caller import Caller, until

MEDIA_UDP, MEDIA_TCP, TURN_UDP, SIGNAL = 7882, 7881, 443, 7880
"""The server's ports, in a namespace of its own."""
REPLY_CHUNKS = 12
"""The double's answer: 4 s of beeps and flashes, and a word to each."""
OUTAGE_S = 2.0
INTO_THE_ANSWER_S = 1.0
SETTLE_S = 5.0
"""After the trouble, until sound and picture must be together again."""
STEADY_FRAMES, STEADY_S = 20, 1.0
ANSWER_TIMEOUT_S = 40.0

Trouble = Callable[[CallerEnd, Weather], Awaitable[None]]


async def outage(network: CallerEnd, weather: Weather) -> None:
    """Nothing passes for a while."""
    await network.set(Weather(weather.loss, weather.delay_s, down=True, shut=weather.shut))
    await asyncio.sleep(OUTAGE_S)
    await network.set(weather)


async def another_address(network: CallerEnd, weather: Weather) -> None:
    """The caller leaves one network for another."""
    await asyncio.to_thread(move, CALLER, CALLER_ELSEWHERE)


@dataclass(frozen=True)
class Scenario:
    """The weather from before the call on; what happens in the middle of an answer."""

    about: str
    weather: Weather
    trouble: Trouble | None = None
    path: str = f"udp/{MEDIA_UDP}"
    """The way that most bytes must have taken."""
    clears: bool = True
    """The weather is fine before a last question; a firewall stays, and one question is enough."""

    @property
    def questions(self) -> int:
        """How many are asked: under the weather, in the trouble, afterwards."""
        return 1 + (self.trouble is not None) + self.clears


ROUGH = Weather(loss=0.05, delay_s=0.1)
NO_UDP = Weather(shut=(f"udp/{MEDIA_UDP}", f"udp/{TURN_UDP}"))
ONLY_TURN = Weather(shut=(f"udp/{MEDIA_UDP}", f"tcp/{MEDIA_TCP}"))
SCENARIOS = {
    "calm": Scenario("nothing, to compare", Weather()),
    "loss": Scenario("5 % loss", Weather(loss=0.05)),
    "rtt": Scenario("200 ms round trip", Weather(delay_s=0.1)),
    "rough": Scenario("5 % loss and 200 ms round trip", ROUGH),
    "outage": Scenario("2-s outage in mid-answer", Weather(), outage),
    "rough-outage": Scenario("the two above in one call", ROUGH, outage),
    "address": Scenario("the caller's address changes in mid-answer", Weather(), another_address),
    "tcp": Scenario("no UDP: ICE over TCP", NO_UDP, path=f"tcp/{MEDIA_TCP}", clears=False),
    "turn": Scenario(
        "neither media port: TURN over UDP 443", ONLY_TURN, path=f"udp/{TURN_UDP}", clears=False
    ),
}


@dataclass(frozen=True)
class Identity:
    """What must not change while it is the same call."""

    room: str
    room_sid: str
    avatar: str


async def identity(caller: Caller) -> Identity:
    """Of this call, now."""
    (avatar,) = caller.room.remote_participants.values()
    return Identity(caller.room.name, await caller.room.sid, avatar.identity)


async def play(scenario: Scenario, caller: Caller, network: CallerEnd) -> dict[str, Any]:
    """Ask under the weather, in the trouble, and afterwards; what the caller got."""
    record = caller.record
    await until("the avatar listens", lambda: caller.attribute("lk.agent.state") == "listening", 30)
    await until("a frame", lambda: record.frames, 30)
    async with asyncio.timeout(30):
        await caller.heard()  # what is said before that is lost without a recording
    before = await identity(caller)
    begun = time.monotonic()
    await ask(caller)
    answered = time.monotonic()
    figures: dict[str, Any] = {"during": media(caller, begun, answered)}
    if scenario.trouble is not None:
        figures["recovered_s"] = await befall(scenario.trouble, caller, network, scenario.weather)
    figures["after"] = figures["during"]
    if scenario.clears:
        await network.set(Weather())
        await asyncio.sleep(SETTLE_S)
        begun = time.monotonic()
        await ask(caller)
        figures["after"] = media(caller, begun, time.monotonic())
    figures["same_call"] = await identity(caller) == before
    figures["captions"] = {name: [c.text, c.final] for name, c in record.captions.items()}
    figures["turns"] = [[turn["outcome"], turn["heard_tokens"]] for turn in record.turns]
    figures["concealed_percent"] = await concealed_percent(caller)
    figures["network"] = await network.set(Weather())
    return figures


async def ask(caller: Caller) -> None:
    """Ask aloud and wait for the whole answer."""
    turns = len(caller.record.turns)
    await caller.say(clip("france").wav)
    await until("an answer", lambda: len(caller.record.turns) > turns, ANSWER_TIMEOUT_S)


async def befall(
    trouble: Trouble, caller: Caller, network: CallerEnd, weather: Weather
) -> float | None:
    """Trouble in the middle of an answer; seconds from its end until the picture moves again."""
    turns = len(caller.record.turns)
    await caller.say(clip("france").wav)
    spoken = time.monotonic()
    await until("speech", lambda: caller.record.sounded_after(spoken), ANSWER_TIMEOUT_S)
    await asyncio.sleep(INTO_THE_ANSWER_S)
    await trouble(network, weather)
    over = time.monotonic()
    await until("the end of the answer", lambda: len(caller.record.turns) > turns, ANSWER_TIMEOUT_S)
    await until("moving pictures", lambda: steady_after(caller, over), ANSWER_TIMEOUT_S)
    steady = steady_after(caller, over)
    return None if steady is None else round(steady - over, 2)


def steady_after(caller: Caller, moment: float) -> float | None:
    """When pictures came again, of which a second's worth followed at once."""
    after = [at for at, _ in caller.record.frames if at > moment]
    for first, last in zip(after, after[STEADY_FRAMES:], strict=False):
        if last - first < STEADY_S:
            return first
    return None


def media(caller: Caller, begun: float, ended: float) -> dict[str, Any]:
    """Frame rate, longest standstill and lip-sync between two moments."""
    record = caller.record
    frames = [at for at, _ in record.frames if begun < at < ended]
    gaps = [b - a for a, b in pairwise(frames)]
    beeps = [at for at in record.beeps() if begun < at < ended]
    flashes = [at for at in record.flashes() if begun < at < ended]
    offsets = [min((flash - beep for beep in beeps), key=abs) for flash in flashes] if beeps else []
    return {
        "fps": round(len(gaps) / sum(gaps), 1) if gaps else 0.0,
        "longest_gap_s": round(max(gaps, default=ended - begun), 2),
        "beeps": len(beeps),
        "flashes": len(flashes),
        "offset_ms_median": _ms(offsets, 50),
        "offset_ms_p95": _ms([abs(offset) for offset in offsets], 95),
    }


def _ms(values: list[float], percentile: float) -> int | None:
    return round(float(np.percentile(values, percentile)) * 1000) if values else None


async def concealed_percent(caller: Caller) -> float:
    """Share of the sound since the last connection that the receiver had to make up."""
    (avatar,) = caller.room.remote_participants.values()
    for publication in avatar.track_publications.values():
        if publication.track is None or publication.kind != rtc.TrackKind.KIND_AUDIO:
            continue
        for entry in await publication.track.get_stats():
            if entry.WhichOneof("stats") == "inbound_rtp":
                sound = entry.inbound_rtp.inbound
                return round(100 * sound.concealed_samples / sound.total_samples_received, 2)
    raise LookupError("there are no statistics of the avatar's voice")
