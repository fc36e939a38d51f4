"""`python -m thinker_server.glm4voice.tiny --out DIR`: GLM-4-Voice's classes, tiny and random.

Writes the hub's layout with random weights and converts it, so that whole calls run where there are
no released weights and no GPU. What it says is noise; every message, shape and clock is real.
"""

import argparse
import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from thinker_server.glm4voice.checkpoint import SINGLE_FILE
from thinker_server.glm4voice.convert import convert_language_model
from thinker_server.glm4voice.geometry import GlmGeometry
from thinker_server.glm4voice.hub_layout import hub_shapes
from thinker_server.glm4voice.speech.geometry import SpeechGeometry
from thinker_server.glm4voice.speech.weights import manifest
from thinker_server.glm4voice.tokenizer_files import RANKS_FILE, SETTINGS_FILE

MODEL_DIRECTORY = "glm-4-voice-9b"
SPEECH_DIRECTORY = "glm-4-voice-tokenizer"
CODES = 16_384
_BYTES = 256
_MARKS = (
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_audio|>",
    "<|end_of_audio|>",
)
_LETTERS = slice(ord(" "), ord("~") + 1)
_HEAD_NOISE = 0.02
_CONSTANT = 8.0
_LETTER_WEIGHT = 0.2
"""Number 0 of every state is about 5: with this weight on it every third token is a letter, as text
is in a real answer, at a temperature of 0.2."""
_SPEECH_CONFIG = {
    "d_model": 48,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "quantize_position": 2,
    "pooling_position": 2,
    "quantize_causal_block_size": 200,
    "max_source_positions": 1500,
}


@dataclass(frozen=True)
class TinyModels:
    """Directories to configure the Thinker with."""

    model: Path
    speech_tokenizer: Path


def write_tiny_models(out: Path, codes: int = CODES, seed: int = 0) -> TinyModels:
    """Write both models below `out`; what is there already is replaced."""
    hub, model, speech = out / "hub", out / MODEL_DIRECTORY, out / SPEECH_DIRECTORY
    for directory in (hub, model, speech):
        shutil.rmtree(directory, ignore_errors=True)
    hub.mkdir(parents=True)
    speech.mkdir()
    dice = torch.Generator().manual_seed(seed)
    _write_tokenizer(hub, codes)
    _write_language_model(hub, codes, dice)
    _write_speech_tokenizer(speech, codes, dice)
    convert_language_model(hub, model)
    shutil.rmtree(hub)
    return TinyModels(model, speech)


def _write_tokenizer(hub: Path, codes: int) -> None:
    """Every byte is a token; the marks and the codes follow."""
    ranks = (base64.b64encode(bytes([byte])) + b" %d" % byte for byte in range(_BYTES))
    (hub / RANKS_FILE).write_bytes(b"\n".join(ranks))
    names = [*_MARKS, *(f"<|audio_{code}|>" for code in range(codes))]
    decoder = {str(_BYTES + i): {"content": name, "special": True} for i, name in enumerate(names)}
    (hub / SETTINGS_FILE).write_text(json.dumps({"added_tokens_decoder": decoder}))


def _write_language_model(hub: Path, codes: int, dice: torch.Generator) -> None:
    config: dict[str, Any] = {
        "num_layers": 2,
        "padded_vocab_size": _BYTES + len(_MARKS) + codes,
        "hidden_size": 64,
        "ffn_hidden_size": 112,
        "kv_channels": 16,
        "num_attention_heads": 4,
        "multi_query_group_num": 2,
        "seq_length": 8192,
        "layernorm_epsilon": 3.90625e-08,
    }
    (hub / "config.json").write_text(json.dumps(config))
    tensors = {
        name: _random(name, shape, dice)
        for name, shape in hub_shapes(GlmGeometry.from_hub(config)).items()
    }
    _make_letters_likely(tensors)
    save_file(tensors, hub / SINGLE_FILE)


def _make_letters_likely(tensors: dict[str, torch.Tensor]) -> None:
    """Number 0 of the states is the same everywhere, and the head reads it for letters alone."""
    tensors["transformer.embedding.word_embeddings.weight"][:, 0] = _CONSTANT
    for name, tensor in tensors.items():
        if name.endswith(("self_attention.dense.weight", "mlp.dense_4h_to_h.weight")):
            tensor[0] = 0
    head = tensors["transformer.output_layer.weight"]
    head.copy_(_HEAD_NOISE * torch.nn.functional.normalize(head, dim=1) * head.shape[1] ** 0.5)
    letters = head[_LETTERS].clone()
    head[: _BYTES + len(_MARKS)] = 0  # no broken characters, no marks, no early end
    head[_LETTERS] = letters
    head[:, 0] = 0
    head[_LETTERS, 0] = _LETTER_WEIGHT


def _write_speech_tokenizer(directory: Path, codes: int, dice: torch.Generator) -> None:
    config = _SPEECH_CONFIG | {"quantize_vocab_size": codes}
    (directory / "config.json").write_text(json.dumps(config))
    shapes = manifest(SpeechGeometry.from_hub(config))
    tensors = {name: _random(name, shape, dice) for name, shape in shapes.items()}
    save_file(tensors, directory / SINGLE_FILE)


def _random(name: str, shape: tuple[int, ...], dice: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=dice)
    if len(shape) > 1:
        table = "embed" in name or "codebook" in name
        return noise if table else noise / (noise[0].numel() ** 0.5)
    return 1 + 0.1 * noise if name.endswith("weight") else 0.05 * noise


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m thinker_server.glm4voice.tiny")
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    parser.add_argument("--codes", type=int, default=CODES, help="speech codes there are")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made = write_tiny_models(options.out, options.codes, options.seed)
    print(f"XSTREAMER_THINKER_GLM4VOICE_MODEL={made.model}")
    print(f"XSTREAMER_THINKER_GLM4VOICE_SPEECH_TOKENIZER={made.speech_tokenizer}")


if __name__ == "__main__":
    main()
