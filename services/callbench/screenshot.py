"""Pictures of a real call and of its dashboard, for README and docs/operations.md.

python -m services.callbench.screenshot [--url URL]
"""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from playwright.async_api import BrowserContext

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.own_stack import own_stack

QUESTIONS = ("france", "weekend", "autumn")
ANSWER_WITHIN_S = 30.0
# When sound was heard is known from reports that come after 2.5 to 7.5 s.
CLOCKS_KNOWN_AFTER_S = 10.0
# The record of a turn waits for what its page has to say.
RECORDED_AFTER_S = 2.0
DASHBOARD_WITHIN_MS = 10_000
WINDOW = (1280, 900)
# Words are captioned as they sound: by then some of the last answer can be read.
INTO_ANSWER_S = 2.5


def main(
    url: Annotated[str, typer.Option(help="A running machine; else one is started.")] = "",
    avatar: Annotated[str, typer.Option(help="Whom to call, by id or name.")] = "mara",
    to: Annotated[Path, typer.Option("--out", help="The PNG file.")] = Path("docs/images/call.png"),
    dashboard: Annotated[Path, typer.Option(help="The dashboard's PNG file.")] = Path(
        "docs/images/dashboard.png"
    ),
) -> None:
    """Call an avatar, photograph the page while it speaks, then the dashboard with its turns."""
    for file in (to, dashboard):
        file.parent.mkdir(parents=True, exist_ok=True)
    with own_stack("nano") if not url else nullcontext() as stack:
        asyncio.run(_photograph(stack.url if stack else url, avatar, to, dashboard))


async def _photograph(url: str, avatar: str, to: Path, dashboard: Path) -> None:
    async with open_caller(CallbenchConfig()) as caller:
        page = CallPage(caller, url)
        await page.call(avatar)
        await caller.listen(CLOCKS_KNOWN_AFTER_S)
        for question in QUESTIONS[:-1]:
            await _ask(caller, question)
            await page.hear_out(1.5)
        await _ask(caller, QUESTIONS[-1])
        await asyncio.sleep(INTO_ANSWER_S)
        await caller.page.screenshot(path=to)
        await page.hear_out(RECORDED_AFTER_S)
        await photograph_dashboard(caller.page.context, url, dashboard)
        await page.end()


async def photograph_dashboard(context: BrowserContext, url: str, to: Path) -> None:
    """The whole dashboard with the waterfall of the last turn, as a second tab sees it."""
    width, height = WINDOW
    page = await context.new_page()
    await page.set_viewport_size({"width": width, "height": height})
    await page.goto(f"{url.rstrip('/')}/dashboard")
    seen = page.get_by_test_id("waterfall").locator('[data-stage="face_downlink"]')
    await seen.wait_for(timeout=DASHBOARD_WITHIN_MS)
    await page.screenshot(path=to, full_page=True)
    await page.close()


async def _ask(caller: Caller, question: str) -> None:
    spoken = await caller.say(question)
    await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)


if __name__ == "__main__":
    typer.run(main)
