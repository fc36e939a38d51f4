"""The hub's glm-4-voice-9b to a directory that transformers' GlmForCausalLM loads as it is.

Tensors stream from shard to shard: memory holds one output shard, never the model.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GlmConfig

from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.checkpoint import INDEX_FILE, Checkpoint, read_json
from thinker_server.glm4voice.geometry import GlmGeometry
from thinker_server.glm4voice.hub_layout import IGNORED, hub_shapes, native_tensors
from thinker_server.glm4voice.tokenizer_files import write_fast_tokenizer

log = logging.getLogger(__name__)

OUTPUT_SHARD_BYTES = 2 * 1024**3
PAD_ID = 151_329
Progress = Callable[[int, int], None]
"""Called with the tensors done and the tensors in all."""


def convert_language_model(
    source: Path,
    target: Path,
    shard_bytes: int = OUTPUT_SHARD_BYTES,
    on_progress: Progress | None = None,
) -> None:
    """Convert a hub directory into a new directory. Raises WeightsUnusable, leaving nothing."""
    if target.exists():
        raise WeightsUnusable(f"{target} is there already: delete it to convert again")
    geometry = GlmGeometry.from_hub(read_json(source / "config.json"))
    checkpoint = Checkpoint(source)
    expected = hub_shapes(geometry)
    checkpoint.verify(expected, IGNORED)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        with _ShardWriter(scratch, shard_bytes) as writer:
            done = 0
            for name, tensor in checkpoint.tensors():
                if name in IGNORED:
                    continue
                for native_name, native in native_tensors(name, tensor, geometry):
                    writer.add(native_name, native)
                done += 1
                if on_progress is not None:
                    on_progress(done, len(expected))
            native_config(geometry, writer.dtype).save_pretrained(scratch)
        write_fast_tokenizer(source, scratch)
        os.rename(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    log.info("converted the language model", extra={"directory": str(target)})


def native_config(geometry: GlmGeometry, dtype: torch.dtype) -> GlmConfig:
    """The same geometry in transformers' words."""
    g = geometry
    return GlmConfig(
        architectures=["GlmForCausalLM"],
        dtype=dtype,
        vocab_size=g.vocabulary,
        hidden_size=g.width,
        intermediate_size=g.ffn_width,
        num_hidden_layers=g.layers,
        num_attention_heads=g.heads,
        num_key_value_heads=g.key_heads,
        head_dim=g.head_width,
        max_position_embeddings=g.context_tokens,
        rms_norm_eps=g.rms_epsilon,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": g.rope_theta,
            "partial_rotary_factor": 0.5,
        },
        attention_bias=True,
        tie_word_embeddings=False,
        pad_token_id=PAD_ID if g.vocabulary > PAD_ID else None,
    )


class _ShardWriter:
    """Collects tensors and writes a shard whenever enough have come together."""

    def __init__(self, directory: Path, shard_bytes: int) -> None:
        self._directory = directory
        self._shard_bytes = shard_bytes
        self._waiting: dict[str, torch.Tensor] = {}
        self._bytes = 0
        self._total = 0
        self._weight_map: dict[str, str] = {}
        self._shards = 0
        self.dtype = torch.bfloat16

    def __enter__(self) -> "_ShardWriter":
        return self

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Take a tensor; the shard before it is written when the two together are too large."""
        size = tensor.numel() * tensor.element_size()
        if self._bytes + size > self._shard_bytes:
            self._write()
        self._waiting[name] = tensor.contiguous()
        self._bytes += size
        self.dtype = tensor.dtype

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            return
        self._write()
        index = {"metadata": {"total_size": self._total}, "weight_map": self._weight_map}
        (self._directory / INDEX_FILE).write_text(json.dumps(index, indent=1))

    def _write(self) -> None:
        if not self._waiting:
            return
        self._shards += 1
        file = f"model-{self._shards:05}.safetensors"
        save_file(self._waiting, self._directory / file, metadata={"format": "pt"})
        self._weight_map |= dict.fromkeys(self._waiting, file)
        self._total += self._bytes
        self._waiting, self._bytes = {}, 0
