"""The product's pages as a person uses them."""

import re
from pathlib import Path

from services.callbench.caller import Caller

OPEN_WITHIN_MS = 20_000
ANSWER_ENDS_WITHIN_MS = 60_000


class CallPage:
    """The home page and the call page of one caller."""

    def __init__(self, caller: Caller, url: str) -> None:
        self._caller = caller
        self._page = caller.page
        self._url = url.rstrip("/")

    @property
    def room(self) -> str:
        """The call's room, from the address."""
        return self._page.url.partition("#")[0].rpartition("/")[2]

    async def open_home(self) -> None:
        """Go to the home page."""
        await self._page.goto(self._url)

    async def call(self, avatar: str) -> None:
        """Click the call button of an avatar, by id or name; returns with its first frame."""
        await self.open_home()
        by_id = self._page.get_by_test_id(f"avatar-card-{avatar}").get_by_test_id("call-button")
        by_name = self._page.get_by_role(
            "button", name=re.compile(rf"^Call {re.escape(avatar)}$", re.IGNORECASE)
        )
        await by_id.or_(by_name).first.click(timeout=OPEN_WITHIN_MS)
        await self._caller.wait_for_frame()

    async def choose_portrait(self, portrait: Path, name: str) -> None:
        """Open the upload dialog of the home page and fill it in."""
        if not await self.dialog_is_open():
            await self._page.get_by_test_id("upload-open").click(timeout=OPEN_WITHIN_MS)
        await self._page.get_by_test_id("upload-input").set_input_files(portrait)
        await self._page.get_by_test_id("upload-name").fill(name)
        await self._page.get_by_test_id("upload-consent").check()

    async def dialog_is_open(self) -> bool:
        """Return whether the upload dialog is shown."""
        return await self._page.get_by_test_id("upload-name").is_visible()

    async def upload(self, portrait: Path, name: str) -> None:
        """Make an avatar from a picture file and call it at once."""
        await self.choose_portrait(portrait, name)
        await self._page.get_by_test_id("upload-submit").click()

    async def refusal(self) -> str:
        """Return why the upload was refused, as the page says it."""
        error = self._page.get_by_test_id("upload-error")
        await error.locator("p").wait_for(timeout=OPEN_WITHIN_MS)
        return await error.inner_text()

    async def type_message(self, text: str) -> None:
        """Write instead of speaking."""
        await self._page.get_by_test_id("chat-input").fill(text)
        await self._page.get_by_test_id("chat-send").click()

    async def captions(self) -> list[str]:
        """Return what both sides said, as the page shows it: `Mara: Hello.`"""
        items = self._page.get_by_test_id("captions").locator("li")
        return [text.replace("\n", ": ", 1) for text in await items.all_inner_texts()]

    async def state(self) -> str:
        """Return listening, thinking, speaking, ..."""
        return await self._page.get_by_test_id("state").get_attribute("data-state") or ""

    async def hear_out(self, quiet_s: float) -> None:
        """Return when the answer is over and nothing was heard for `quiet_s`.

        Silence alone does not end an answer: on a busy machine its next clause may be late.
        """
        listening = self._page.locator('[data-testid="state"][data-state="listening"]')
        await listening.wait_for(timeout=ANSWER_ENDS_WITHIN_MS)
        await self._caller.wait_for_quiet(quiet_s)

    async def brain(self) -> str:
        """Return which model answers, as the page shows it."""
        return await self._page.get_by_test_id("brain").inner_text()

    async def end(self) -> None:
        """Hang up."""
        await self._page.get_by_test_id("end-button").click()
        await self._page.get_by_test_id("ended").wait_for(timeout=OPEN_WITHIN_MS)
