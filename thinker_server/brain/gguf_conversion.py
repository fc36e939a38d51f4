"""SmolLM2 from its GGUF file: dequantised once, kept as safetensors, loaded fast ever after."""

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

from thinker_server.errors import AssetMissing

log = logging.getLogger(__name__)

SMOLLM2_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_NAME = "SmolLM2-135M-Instruct"
"""The brain that the Actor was trained on: only its hidden states fill text slots."""


def smollm2_directory(assets: Path, cache: Path) -> Path:
    """Directory of the converted model; converts first (about 20 s) when it is not there.

    Raises AssetMissing when there is neither the converted model nor the GGUF file.
    """
    target = cache / "converted" / SMOLLM2_NAME
    if (target / "model.safetensors").exists():
        return target
    source = assets / SMOLLM2_GGUF
    if not source.exists():
        raise AssetMissing(
            f"{source} is missing: run `xstreamer assets fetch`, or set XSTREAMER_THINKER_ASSETS "
            "to the directory that holds it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix=f"{SMOLLM2_NAME}.", dir=target.parent))
    try:
        _convert(source, scratch)
        _move_into_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    log.info("converted the chat model", extra={"seconds": round(time.monotonic() - started, 1)})
    return target


def _convert(source: Path, scratch: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(
        str(source.parent), gguf_file=source.name, local_files_only=True
    )
    model = AutoModelForCausalLM.from_pretrained(
        str(source.parent),
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        local_files_only=True,
    )
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)


def _move_into_place(scratch: Path, target: Path) -> None:
    """Rename atomically; if another process was faster, its result stands."""
    try:
        os.rename(scratch, target)
    except OSError:
        if not (target / "model.safetensors").exists():
            raise
