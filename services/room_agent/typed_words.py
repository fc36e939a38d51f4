"""What the caller types, on `lk.chat`: read whole, and answered with a receipt.

A message that is sent while a connection is made anew may get lost on its way although sending it
succeeded. A page that names its message (attribute `xs.id`) is told when it was read (`xs.read`),
and sends it again until then; a message without a name is read all the same.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from livekit import rtc

from services.room_agent.conversation import MAX_NAME_CHARACTERS
from services.room_agent.incoming import parts_up_to

log = logging.getLogger(__name__)

CHAT_TOPIC: Final = "lk.chat"
NAME_ATTRIBUTE: Final = "xs.id"
READ_TOPIC: Final = "xs.read"
MAX_CHAT_CHARACTERS: Final = 4_000


async def read_typed(
    reader: rtc.TextStreamReader,
    read: Callable[[str, str], None],
    tell_page: Callable[[str, str], Awaitable[None]],
) -> None:
    """Take one message, text and name; returns when its receipt is sent."""
    name = (reader.info.attributes or {}).get(NAME_ATTRIBUTE, "")[:MAX_NAME_CHARACTERS]
    try:
        parts = await parts_up_to(reader, MAX_CHAT_CHARACTERS)
    except rtc.StreamError as error:
        log.info("chat message lost", extra={"reason": str(error)})
        return
    if text := "".join(parts).strip()[:MAX_CHAT_CHARACTERS]:
        read(text, name)
    if name:
        await tell_page(READ_TOPIC, json.dumps({"id": name}))
