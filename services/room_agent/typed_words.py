"""What the caller types, on `lk.chat`: read whole, answered with a receipt, and heard once.

A message that is sent while a connection is made anew may get lost on its way although sending it
succeeded. A page that names its message (attribute `xs.id`) is told when it was read (`xs.read`),
and sends it again until then; a message without a name is read all the same.
"""

import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from livekit import rtc

from services.room_agent.incoming import parts_up_to

log = logging.getLogger(__name__)

CHAT_TOPIC: Final = "lk.chat"
ID_ATTRIBUTE: Final = "xs.id"
READ_TOPIC: Final = "xs.read"
MAX_CHAT_CHARACTERS: Final = 4_000
MAX_ID_CHARACTERS: Final = 64
REMEMBERED: Final = 64
"""The page sends a message again for half a minute; nobody types this many meanwhile."""


class TypedWords:
    """The typed messages of one room."""

    def __init__(
        self, read: Callable[[str], None], tell_page: Callable[[str, str], Awaitable[None]]
    ) -> None:
        self._heard = read
        self._tell_page = tell_page
        self._known = deque[tuple[str, str]](maxlen=REMEMBERED)

    async def read(self, reader: rtc.TextStreamReader, sender: str) -> None:
        """Take one message; returns when its receipt is sent."""
        name = (reader.info.attributes or {}).get(ID_ATTRIBUTE, "")[:MAX_ID_CHARACTERS]
        try:
            parts = await parts_up_to(reader, MAX_CHAT_CHARACTERS)
        except rtc.StreamError as error:
            log.info("chat message lost", extra={"reason": str(error)})
            return
        if (sender, name) not in self._known:
            if text := "".join(parts).strip()[:MAX_CHAT_CHARACTERS]:
                self._heard(text)
            if name:
                self._known.append((sender, name))
        if name:
            await self._tell_page(READ_TOPIC, json.dumps({"id": name}))
