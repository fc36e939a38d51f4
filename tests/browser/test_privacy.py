"""What the pages tell and ask: that it is synthetic, consent, no transcript, and deletion."""

from pathlib import Path

import httpx
import pytest

from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from services.paths import REPOSITORY
from services.provenance import verify
from tests.conftest import Stack
from tests.promises import promise

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_S = 25.0
PORTRAIT = REPOSITORY / "gateway" / "data" / "portraits" / "priya.jpg"
ON_TOP = """element => {
    const box = element.getBoundingClientRect();
    return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === element;
}"""
AVATAR = """() => {
    const [avatar] = [...window.__room.remoteParticipants.values()];
    const tracks = [...avatar.trackPublications.keys()];
    return { identity: avatar.identity, attributes: avatar.attributes, tracks };
}"""


async def test_a_call_says_that_it_is_synthetic_and_leaves_nothing_when_so_wished(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.open_home()
        await caller.page.get_by_test_id("no-transcript").check()
        await caller.page.get_by_test_id("avatar-card-mara").get_by_test_id("call-button").click()
        await caller.wait_for_frame()

        badge = caller.page.get_by_test_id("badge-ai")
        assert await badge.inner_text() == "AI-generated"
        assert await badge.evaluate(ON_TOP), "something covers the badge"
        avatar = await caller.page.evaluate(AVATAR)
        jwks = (await rest.get("/.well-known/jwks.json")).json()
        assert avatar["attributes"]["xs.synthetic"] == "true"
        statement = avatar["attributes"]["xs.provenance"]
        stated = verify(statement, jwks, page.room, avatar["identity"], avatar["tracks"])
        assert (stated.avatar, len(stated.tracks)) == ("mara", 2)

        asked_s = await caller.now_s()
        await page.type_message("What is the capital of France?")
        await caller.wait_for_voice(asked_s, ANSWER_WITHIN_S)
        await page.hear_out(1)
        promise(await page.captions() == [], "captions that nobody wanted")
        assert "no transcript" in await caller.page.get_by_test_id("transcript-empty").inner_text()
        assert await badge.evaluate(ON_TOP)
        await caller.page.screenshot(path=tmp_path / "call.png")

        room = page.room
        await page.end()
        assert (await rest.get(f"/api/rooms/{room}")).json()["state"] == "ended"
        await caller.page.get_by_test_id("forget-button").click()
        await caller.page.get_by_text(
            "The record of this call and its figures were deleted."
        ).wait_for()
        assert (await rest.get(f"/api/rooms/{room}")).status_code == 404
        files = [path for path in (stack.data_dir / "gateway").rglob("*") if path.is_file()]
        kept = [path.name for path in files if room.encode() in path.read_bytes()]
        promise(not kept, kept)
        assert not caller.complaints


async def test_a_portrait_is_sent_only_with_consent(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.open_home()
        await page.choose_portrait(PORTRAIT, "Not asked")
        consent = caller.page.get_by_test_id("upload-consent")
        await consent.uncheck()
        await caller.page.get_by_test_id("upload-save").click()
        assert await consent.evaluate("box => box.matches(':user-invalid')")
        await caller.page.screenshot(path=tmp_path / "consent.png")
        assert await page.dialog_is_open()
        assert "Not asked" not in (await rest.get("/api/avatars")).text

        await consent.check()
        await caller.page.get_by_test_id("upload-name").fill("Asked")
        await caller.page.get_by_test_id("upload-save").click()
        await caller.page.get_by_role("heading", name="Asked").wait_for()
        (avatar,) = [
            row for row in (await rest.get("/api/avatars")).json() if row["name"] == "Asked"
        ]
        assert (avatar["consent"], avatar["consented_at"] is None) == ("portrait-1", False)
        assert (await rest.delete(f"/api/avatars/{avatar['id']}")).status_code == 204
