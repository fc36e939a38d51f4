"""The way of a call's reports to the gateway: collected, signed, sent every few seconds.

A gateway that is away costs the call nothing: the newest reports wait, bounded, and are sent when
it is back; a call that is over waits for that a little while.
"""

import asyncio
import base64
import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import httpx
from livekit import api

from services.room_agent.config import GatewayAddress
from services.room_agent.conversation import Conversation
from services.room_agent.records import MAX_QUALITY, MAX_TURNS, CallQuality, CallReport, TurnRecord

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
"""How often a call without turns is heard of: the dashboard's live calls are that fresh."""
TIMEOUT_S: Final = 3.0
LAST_S: Final = 10.0
"""How long the last report of a call is tried: a gateway that restarts is back by then."""
AGAIN_S: Final = 0.5
SIGNED_FOR: Final = timedelta(minutes=5)


class GatewayLine:
    """One call's line. Without an address nothing is kept and nothing is sent."""

    def __init__(
        self, address: GatewayAddress | None, call_id: str, phase: Callable[[], str]
    ) -> None:
        self._address = address
        self._call_id = call_id
        self._phase = phase
        self._turns: deque[TurnRecord] = deque(maxlen=MAX_TURNS)
        self._quality: deque[CallQuality] = deque(maxlen=MAX_QUALITY)
        self._failures: Counter[str] = Counter()
        self._conversation: Conversation | None = None
        self._wake = asyncio.Event()

    def turn(self, record: TurnRecord) -> None:
        """A turn is over: tell soon."""
        self._turns.append(record)
        self._wake.set()

    def conversation(self, conversation: Conversation) -> None:
        """Something was said: tell soon, for whoever must go on if this process dies."""
        self._conversation = conversation
        self._wake.set()

    def quality(self, quality: CallQuality) -> None:
        """What the page saw; told with the next report."""
        self._quality.append(quality)

    def failure(self, code: str) -> None:
        """Something failed in this call; told with the next report."""
        self._failures[code] += 1

    async def run(self) -> None:
        """Report until cancelled."""
        if self._address is None:
            return
        async with self._client(self._address) as client:
            while True:
                await self._report(client, self._address)
                try:
                    async with asyncio.timeout(EVERY_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def close(self) -> None:
        """The last report of the call."""
        if self._address is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S), self._client(self._address) as client:
                while self._turns or self._failures:
                    await self._report(client, self._address)
                    if self._turns or self._failures:
                        await asyncio.sleep(AGAIN_S)
        if self._turns or self._failures:
            log.warning("the last report is lost", extra={"turns": len(self._turns)})

    def _client(self, address: GatewayAddress) -> httpx.AsyncClient:
        verify = address.certificate is None or address.trust
        return httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=verify)

    async def _report(self, client: httpx.AsyncClient, address: GatewayAddress) -> None:
        self._wake.clear()
        report = self._take()
        body = report.model_dump_json().encode()
        url = f"{address.url.rstrip('/')}/api/calls/{self._call_id}/reports"
        signed = signature(address, report_claim(self._call_id, body))
        headers = {"Authorization": signed, "Content-Type": "application/json"}
        try:
            answer = await client.post(url, content=body, headers=headers)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            log.warning("the gateway refused a report", extra={"reason": str(error)})
            if error.response.is_server_error:
                self._put_back(report)  # what was read and refused would be refused again
        except httpx.HTTPError as error:
            log.info("the gateway takes no report", extra={"reason": repr(error)})
            self._put_back(report)
        except asyncio.CancelledError:
            self._put_back(report)  # the call ends: its last report tells
            raise

    def _take(self) -> CallReport:
        """All that is untold; what comes while it is being told waits for the next report."""
        report = CallReport(
            phase=self._phase(),
            turns=tuple(self._turns),
            quality=tuple(self._quality),
            failures=dict(self._failures),
            conversation=self._conversation,
        )
        self._conversation = None
        self._turns.clear()
        self._quality.clear()
        self._failures.clear()
        return report

    def _put_back(self, report: CallReport) -> None:
        """Before what came meanwhile; the oldest goes when it is too much."""
        self._turns = deque([*report.turns, *self._turns], maxlen=MAX_TURNS)
        self._quality = deque([*report.quality, *self._quality], maxlen=MAX_QUALITY)
        self._failures.update(report.failures)
        self._conversation = self._conversation or report.conversation


def report_claim(call_id: str, report: bytes) -> bytes:
    """What the agent signs: of which call this is told, so that it is taken for no other."""
    return b"%s\n%s" % (call_id.encode(), report)


def signature(address: GatewayAddress, body: bytes) -> str:
    """A token over the body's hash, as LiveKit signs its webhooks."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = api.AccessToken(address.api_key, address.api_secret)
    return token.with_ttl(SIGNED_FOR).with_sha256(digest).to_jwt()
