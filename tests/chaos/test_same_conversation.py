"""What was said before a blow is known after it: the chat model is told all of it again."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.chaos.blows import QUESTION, Blow, strike
from tests.chat_server import ChatServer, serving
from tests.conftest import Stack, start_stack, stop_stack
from tests.promises import promise

pytestmark = [pytest.mark.integration, pytest.mark.realtime]


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatServer]:
    """A brain that numbers its answers."""
    numbers = count(1)
    with serving(ChatServer(lambda _: f"This is answer number {next(numbers)}.")) as server:
        yield server


@pytest.fixture(scope="module")
def its_stack(
    assets_dir: Path, chat: ChatServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A machine whose every prompt is seen."""
    running = start_stack(tmp_path_factory.mktemp("conversation"), settings=chat.settings())
    try:
        yield running
    finally:
        stop_stack(running)


@pytest.mark.parametrize("victim", ["thinker", "agent job", "gateway and agent job"])
async def test_a_conversation_goes_on_where_it_was(
    victim: str, its_stack: Stack, chat: ChatServer
) -> None:
    await strike(its_stack, Blow(victim))
    said = [(one["role"], one["content"]) for one in chat.asked[-1]["messages"]]
    asked = [
        number for number, (role, text) in enumerate(said) if (role, text) == ("user", QUESTION)
    ]
    promise(len(asked) == 2, said)
    role, answer = said[asked[0] + 1]
    promise((role, answer.startswith("This is answer number")) == ("assistant", True), said)
