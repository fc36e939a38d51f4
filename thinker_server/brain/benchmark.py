"""How fast a brain is on this machine: measured once, kept in the cache directory."""

import asyncio
import json
import logging
import os
import platform
import time
from contextlib import aclosing
from pathlib import Path

from thinker_server.brain.brain import ChatMessage
from thinker_server.brain.prompt import opening
from thinker_server.brain.single_token import reads_four_bits
from thinker_server.brain.transformers_brain import TransformersBrain
from thinker_server.config import ThinkerConfig

log = logging.getLogger(__name__)

FILE = "brain_speed.json"
TOKENS = 24
WARM_UP_TOKENS = 4
QUESTION = "Please tell me a long story about a sailor and the sea."
OVERHEAD_MILLION_PARAMETERS = 250
"""A small model's time goes into calls, not arithmetic: its time is that of one so much larger.
From 28 tokens/s at 135 M and 17.6 at 494 M on two cores."""
FOUR_BITS_GAIN = 2.0
"""A model read as four bits a weight is so much faster than the same one in bfloat16: 25 against
50-56 ms a token for SmolLM2-135M."""


def expected_speed(known_speed: float, known_size: int, size: int) -> float:
    """Tokens/s of a model of `size` million parameters, from another one's speed."""
    known = known_size + OVERHEAD_MILLION_PARAMETERS
    return known_speed * known / (size + OVERHEAD_MILLION_PARAMETERS)


def measured_speed(brain: TransformersBrain, name: str, config: ThinkerConfig) -> float:
    """Tokens a second of greedy decoding, from the cache directory or measured now (seconds)."""
    file = config.cache_dir / FILE
    bits = 4 if reads_four_bits(brain.model) else 16
    machine = f"{platform.node()} {platform.processor()}"
    key = f"{name} {machine} threads={config.torch_threads} bits={bits}"
    speeds = _read(file)
    if key not in speeds:
        speeds[key] = asyncio.run(_measure(brain))
        _write(file, speeds)
        log.info("measured a chat model", extra={"brain": name, "tokens_per_s": speeds[key]})
    return speeds[key]


async def _measure(brain: TransformersBrain) -> float:
    conversation = brain.open()
    messages = [*opening("Ann", ""), ChatMessage("user", QUESTION)]
    made, started = 0, time.monotonic()
    async with aclosing(conversation.reply(messages)) as tokens:
        async for _ in tokens:
            made += 1
            if made == WARM_UP_TOKENS:
                started = time.monotonic()
            if made == TOKENS:
                break
    elapsed = time.monotonic() - started
    await conversation.close()
    return round(max(made - WARM_UP_TOKENS, 0) / elapsed, 1)


def _read(file: Path) -> dict[str, float]:
    try:
        speeds = json.loads(file.read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return speeds if isinstance(speeds, dict) else {}


def _write(file: Path, speeds: dict[str, float]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(f".{os.getpid()}.part")
    scratch.write_text(json.dumps(speeds, indent=1), "utf-8")
    os.replace(scratch, file)
