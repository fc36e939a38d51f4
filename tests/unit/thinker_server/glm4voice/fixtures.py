"""The recorded numbers of tests/golden/glm4voice, and hub directories made from them."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import GlmForCausalLM

from thinker_server.glm4voice.convert import convert_language_model
from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.weights import load_speech_encoder
from thinker_server.glm4voice.tokenizer import GlmTokenizer
from thinker_server.glm4voice.tokenizer_files import write_fast_tokenizer

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "glm4voice"
AUDIO_CODES = 16_384
PROMPTS: dict[str, Any] = json.loads((GOLDEN / "m6_prompts.json").read_text())
SPECIALS: dict[str, int] = PROMPTS["special_ids"] | {
    f"<|audio_{code}|>": PROMPTS["audio_offset"] + code for code in range(AUDIO_CODES)
}
CHATGLM_TINY = load_file(GOLDEN / "m1_chatglm_tiny.safetensors")
CHATGLM_FACTS: dict[str, Any] = json.loads((GOLDEN / "m1_chatglm_tiny.json").read_text())


def weights(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The `weight.` tensors under their hub names."""
    return {
        name.removeprefix("weight."): tensor
        for name, tensor in tensors.items()
        if name.startswith("weight.")
    }


def write_byte_tokenizer(directory: Path) -> None:
    """The toy tokenizer of the recorded prompts: every byte is a token, specials keep their ids."""
    lines = [base64.b64encode(bytes([byte])) + f" {byte}".encode() for byte in range(256)]
    (directory / "tokenizer.model").write_bytes(b"\n".join(lines))
    decoder = {str(i): {"content": name, "special": True} for name, i in SPECIALS.items()}
    (directory / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))


def write_hub_model(directory: Path, tensors: dict[str, torch.Tensor], shards: int = 2) -> Path:
    """A hub directory with these tensors in several shards."""
    directory.mkdir(parents=True, exist_ok=True)
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        save_file(part, directory / file)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text(json.dumps(CHATGLM_FACTS["config"]))
    write_byte_tokenizer(directory)
    return directory


def tiny_speech_encoder() -> SpeechEncoder:
    """The recorded speech tokenizer, loaded from a hub directory as the released one would be."""
    facts = json.loads((GOLDEN / "m2_speech_tokenizer_tiny.json").read_text())
    tensors = weights(load_file(GOLDEN / "m2_speech_tokenizer_tiny.safetensors"))
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "config.json").write_text(json.dumps(facts["config"]))
        save_file(tensors, directory / "model.safetensors")
        return load_speech_encoder(directory, torch.device("cpu"))


def byte_tokenizer() -> GlmTokenizer:
    """The toy tokenizer, made from a hub directory as the released one would be."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        write_byte_tokenizer(directory)
        write_fast_tokenizer(directory, directory)
        return GlmTokenizer.load(directory)


def tiny_language_model(device: str = "cpu") -> GlmForCausalLM:
    """The recorded language model, converted from a hub directory; float32."""
    with TemporaryDirectory() as name:
        source = write_hub_model(Path(name) / "hub", weights(CHATGLM_TINY))
        convert_language_model(source, Path(name) / "native")
        model: GlmForCausalLM = GlmForCausalLM.from_pretrained(
            Path(name) / "native", dtype=torch.float32, device_map={"": device}
        )
    return model.requires_grad_(False)
