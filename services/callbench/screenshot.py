"""A picture of a real call for the README: python -m services.callbench.screenshot --url URL."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.own_stack import own_stack

QUESTIONS = ("france", "autumn")
ANSWER_WITHIN_S = 30.0
# Words are captioned as they sound: by then some of the last answer can be read.
INTO_ANSWER_S = 2.5


def main(
    url: Annotated[str, typer.Option(help="A running machine; else one is started.")] = "",
    avatar: Annotated[str, typer.Option(help="Whom to call, by id or name.")] = "mara",
    to: Annotated[Path, typer.Option("--out", help="The PNG file.")] = Path("docs/images/call.png"),
) -> None:
    """Call an avatar and photograph the page while it speaks."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with own_stack("nano") if not url else nullcontext() as stack:
        asyncio.run(_photograph(stack.url if stack else url, avatar, to))


async def _photograph(url: str, avatar: str, to: Path) -> None:
    async with open_caller(CallbenchConfig()) as caller:
        page = CallPage(caller, url)
        await page.call(avatar)
        await caller.listen(2)
        for question in QUESTIONS[:-1]:
            await _ask(caller, question)
            await page.hear_out(1.5)
        await _ask(caller, QUESTIONS[-1])
        await asyncio.sleep(INTO_ANSWER_S)
        await caller.page.screenshot(path=to)
        await page.end()


async def _ask(caller: Caller, question: str) -> None:
    spoken = await caller.say(question)
    await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)


if __name__ == "__main__":
    typer.run(main)
