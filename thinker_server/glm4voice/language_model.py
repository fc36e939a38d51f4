"""A converted language model from its directory to the device, checked before it is used."""

from pathlib import Path

import torch
from transformers import GlmConfig, GlmForCausalLM
from transformers.utils.logging import disable_progress_bar

from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.checkpoint import Checkpoint, read_json
from thinker_server.glm4voice.tokenizer import GlmTokenizer


def device_of(name: str) -> torch.device:
    """The device that a setting means. Raises WeightsUnusable for one that is not there."""
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WeightsUnusable(f"glm4voice_device = {name!r} is no device ({error})") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise WeightsUnusable(
            f"glm4voice_device = {name!r}, but PyTorch sees no NVIDIA GPU here; `nvidia-smi` "
            "should list one"
        )
    return device


def load_language_model(
    directory: Path, tokenizer: GlmTokenizer, device: torch.device, dtype: torch.dtype
) -> GlmForCausalLM:
    """The model with frozen weights; shards go to the device one by one. Raises WeightsUnusable."""
    facts = read_json(directory / "config.json")
    if facts.get("model_type") != "glm":
        raise WeightsUnusable(
            f"{directory} holds no converted GLM-4-Voice; run `python -m thinker_server.glm4voice "
            "convert` on the hub's files first"
        )
    config = GlmConfig.from_dict(facts)
    if tokenizer.size > config.vocab_size:
        raise WeightsUnusable(
            f"the tokenizer has {tokenizer.size} tokens, the model {config.vocab_size}: they do "
            "not belong together"
        )
    with torch.device("meta"):
        expected = GlmForCausalLM(config).state_dict()
    Checkpoint(directory).verify({name: tuple(t.shape) for name, t in expected.items()})
    disable_progress_bar()  # type: ignore[no-untyped-call]  # a log file is no terminal
    model: GlmForCausalLM = GlmForCausalLM.from_pretrained(
        directory, dtype=dtype, device_map={"": device}, local_files_only=True
    )
    return model.requires_grad_(False)
