"""The speech tokenizer from the hub's directory, held against its manifest."""

from pathlib import Path

import torch

from thinker_server.glm4voice.checkpoint import Checkpoint, Shape, read_json
from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.geometry import SpeechGeometry

UNUSED = frozenset({"ema_count", "ema_weight", "embed_positions2.weight"})
"""Left over from training, or used behind the codes; may be there or not."""


def manifest(geometry: SpeechGeometry) -> dict[str, Shape]:
    """Name and shape of every tensor that the encoder needs."""
    with torch.device("meta"):
        encoder = SpeechEncoder(geometry)
    return {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}


def load_speech_encoder(directory: Path, device: torch.device) -> SpeechEncoder:
    """The encoder in float32 (in less, codes change). Raises WeightsUnusable."""
    geometry = SpeechGeometry.from_hub(read_json(directory / "config.json"))
    checkpoint = Checkpoint(directory)
    checkpoint.verify(manifest(geometry), UNUSED)
    with torch.device("meta"):
        encoder = SpeechEncoder(geometry)
    encoder.to_empty(device=device)
    parameters = encoder.state_dict()
    for name, tensor in checkpoint.tensors():
        if name not in UNUSED:
            parameters[name].copy_(tensor)
    return encoder.requires_grad_(False)
