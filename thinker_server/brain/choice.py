"""Which brain to run: the configured one, or with `auto` the best that runs live here."""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import psutil
from huggingface_hub import try_to_load_from_cache

from thinker_server.brain.benchmark import FOUR_BITS_GAIN, expected_speed, measured_speed
from thinker_server.brain.brain import Brain, BrainLabel
from thinker_server.brain.gguf_conversion import SMOLLM2_NAME, smollm2_directory
from thinker_server.brain.hub import hub_reachable
from thinker_server.brain.openai_brain import OpenAIBrain
from thinker_server.brain.single_token import reads_four_bits
from thinker_server.brain.transformers_brain import TransformersBrain
from thinker_server.brain.weights import load_brain
from thinker_server.config import ThinkerConfig
from thinker_server.errors import BrainUnavailable

log = logging.getLogger(__name__)

AUTO = "auto"
OPENAI = "openai"
SMOLLM2 = "smollm2-135m"


@dataclass(frozen=True)
class Candidate:
    """A better brain than the one that always works."""

    model_id: str
    million_parameters: int


CANDIDATES = (
    Candidate("Qwen/Qwen2.5-1.5B-Instruct", 1544),
    Candidate("Qwen/Qwen2.5-0.5B-Instruct", 494),
    Candidate("HuggingFaceTB/SmolLM2-360M-Instruct", 362),
)
"""Best first."""
SMOLLM2_MILLION_PARAMETERS = 135
BYTES_PER_PARAMETER = 2
MEMORY_MARGIN = 2.0
"""A candidate must fit into the free memory this many times: loading needs more than running."""


def choose_brain(config: ThinkerConfig) -> Brain:
    """Load the brain that the configuration asks for. Raises BrainUnavailable or AssetMissing."""
    if config.brain == OPENAI:
        if not config.openai_model:
            raise BrainUnavailable(
                "brain = openai needs openai_model in [thinker] of xstreamer.toml"
            )
        key = config.openai_api_key.get_secret_value()
        return OpenAIBrain(
            config.openai_base_url, config.openai_model, key, config.max_reply_tokens
        )
    if config.brain == SMOLLM2:
        return _smollm2(config, f"configured: brain = {SMOLLM2}")
    if config.brain != AUTO:
        return _configured(config)
    return _best(config)


def _configured(config: ThinkerConfig) -> TransformersBrain:
    source = str(Path(config.brain).expanduser()) if _is_path(config.brain) else config.brain
    label = BrainLabel(config.brain, f"configured: brain = {config.brain}")
    local = _is_path(config.brain) or _cached(source)
    if not local and not hub_reachable():
        raise BrainUnavailable(
            f"the chat model {source} is neither on this machine nor can it be fetched, for "
            f'Hugging Face is not reachable; set brain = "{AUTO}" in [thinker] of xstreamer.toml'
        )
    return load_brain(source, label, gives_states=False, fetch=not local)


def _best(config: ThinkerConfig) -> TransformersBrain:
    """SmolLM2's measured speed predicts which candidates are worth fetching; those are measured."""
    fallback = _smollm2(config, "")
    speed = measured_speed(fallback, SMOLLM2_NAME, config)
    comparable = speed / FOUR_BITS_GAIN if reads_four_bits(fallback.model) else speed
    refusals: list[str] = []
    for candidate in CANDIDATES:
        reason = _refusal(candidate, comparable, config)
        if reason is None:
            brain, reason = _try(candidate, config)
            if brain is not None:
                asyncio.run(fallback.close())
                return brain
        refusals.append(f"{candidate.model_id.split('/')[-1]}: {reason}")
    why = f"auto: it always works, {speed:.0f} tokens/s; not " + "; ".join(refusals)
    log.info("chose the chat model", extra={"brain": SMOLLM2_NAME, "why": why})
    fallback.label = BrainLabel(SMOLLM2_NAME, why)
    return fallback


def _refusal(candidate: Candidate, smollm2_speed: float, config: ThinkerConfig) -> str | None:
    """Why a candidate is not even tried; None when it is worth it."""
    size = candidate.million_parameters
    expected = expected_speed(smollm2_speed, SMOLLM2_MILLION_PARAMETERS, size)
    if expected < config.brain_min_tokens_per_s:
        return f"too slow here (about {expected:.0f} tokens/s)"
    if psutil.virtual_memory().available < size * 1e6 * BYTES_PER_PARAMETER * MEMORY_MARGIN:
        return "too large for the free memory"
    if not _cached(candidate.model_id) and not hub_reachable():
        return "Hugging Face is not reachable"
    return None


def _try(candidate: Candidate, config: ThinkerConfig) -> tuple[TransformersBrain | None, str]:
    """The candidate if it runs live, else why not."""
    label = BrainLabel(candidate.model_id, "")
    try:
        fetch = not _cached(candidate.model_id)
        brain = load_brain(candidate.model_id, label, gives_states=False, fetch=fetch)
    except BrainUnavailable as error:
        return None, str(error)
    speed = measured_speed(brain, candidate.model_id, config)
    if speed < config.brain_min_tokens_per_s:
        asyncio.run(brain.close())
        return None, f"too slow here ({speed:.0f} tokens/s)"
    brain.label = BrainLabel(
        candidate.model_id, f"auto: the best that runs live, {speed:.0f} tokens/s"
    )
    return brain, ""


def _smollm2(config: ThinkerConfig, why: str) -> TransformersBrain:
    directory = smollm2_directory(config.assets_dir, config.cache_dir)
    label = BrainLabel(SMOLLM2_NAME, why)
    return load_brain(str(directory), label, gives_states=True, fetch=False)


def _is_path(name: str) -> bool:
    return name.startswith((".", "~", os.sep)) or Path(name).is_dir()


def _cached(model_id: str) -> bool:
    return isinstance(try_to_load_from_cache(model_id, "config.json"), str)
