"""Work that goes on whatever befalls one round of it."""

import asyncio

import pytest

from gateway.background import kept_up

pytestmark = pytest.mark.unit


async def test_work_that_fails_begins_again_and_work_that_is_done_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("gateway.background.AGAIN_S", 0.0)
    rounds: list[int] = []

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 3:
            raise ValueError("nobody foresaw this")

    await asyncio.wait_for(kept_up("work", work), 5)
    assert rounds == [0, 1, 2]
    assert caplog.text.count("beginning again") == 2


async def test_it_can_be_cancelled():
    task = asyncio.create_task(kept_up("sleep", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
