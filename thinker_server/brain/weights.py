"""Loading a causal LM from a directory or the Hugging Face cache, in the number type that suits."""

from functools import cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from thinker_server.brain.brain import BrainLabel
from thinker_server.brain.single_token import speed_up_decoding
from thinker_server.brain.transformers_brain import TransformersBrain
from thinker_server.errors import BrainUnavailable

_CPU_FACTS = Path("/proc/cpuinfo")


@cache
def suitable_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it (or a GPU does), else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16
    facts = _CPU_FACTS.read_text() if _CPU_FACTS.exists() else ""
    native = "avx512_bf16" in facts or "amx_bf16" in facts
    return torch.bfloat16 if native else torch.float32


def load_brain(
    source: str, label: BrainLabel, gives_states: bool, fetch: bool
) -> TransformersBrain:
    """A brain from a directory or a Hugging Face id; `fetch` allows downloading.

    Raises BrainUnavailable when there is no usable model under that name.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]  # a log file is no terminal
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=not fetch)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=suitable_dtype(), local_files_only=not fetch
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BrainUnavailable(
            f"the chat model {source} cannot be loaded ({str(error).splitlines()[0]}); check the "
            'name, or set brain = "auto" in [thinker] of xstreamer.toml'
        ) from error
    model.requires_grad_(False)
    speed_up_decoding(model, model.get_output_embeddings())  # type: ignore[no-untyped-call]
    return TransformersBrain(model, tokenizer, label, gives_states)
