"""The decoder's files as the hub has them: `flow.pt`, `hift.pt`; checked by name and shape.

A directory whose sizes are not the released ones says so in `geometry.json`.
"""

import json
import pickle
from pathlib import Path
from typing import Final

import torch
from torch import Size, Tensor, nn

from actor_server.errors import SpeechWeightsUnusable
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import SpeechGeometry
from actor_server.speech.vocoder import Vocoder
from actor_server.tensor_table import differences

FLOW_FILE: Final = "flow.pt"
VOCODER_FILE: Final = "hift.pt"
GEOMETRY_FILE: Final = "geometry.json"
_STORED_NAMES: Final = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


def load_speech_models(folder: Path) -> tuple[FlowDecoder, Vocoder]:
    """Both models in single precision on the CPU, ready to speak.

    Raises: SpeechWeightsUnusable, whose text says what is wrong and what to do.
    """
    for name in (FLOW_FILE, VOCODER_FILE):
        if not (folder / name).is_file():
            raise SpeechWeightsUnusable(f"{folder / name} is missing")
    geometry = read_geometry(folder)
    with torch.device("meta"):
        flow, vocoder = FlowDecoder(geometry.flow), Vocoder(geometry.vocoder)
    _fill(flow, folder / FLOW_FILE)
    _fill(vocoder, folder / VOCODER_FILE)
    vocoder.fold_weight_norm()
    return flow.eval().requires_grad_(False), vocoder.eval().requires_grad_(False)


def read_geometry(folder: Path) -> SpeechGeometry:
    """The sizes of the models in a directory. Raises SpeechWeightsUnusable."""
    file = folder / GEOMETRY_FILE
    if not file.is_file():
        return SpeechGeometry()
    try:
        return SpeechGeometry.from_dict(json.loads(file.read_text("utf-8")))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SpeechWeightsUnusable(f"{file} names no decoder's sizes ({error})") from error


def stored_shapes(model: nn.Module) -> dict[str, Size]:
    """Name and shape of every tensor that the model's file must hold."""
    return {stored_name(name): tensor.shape for name, tensor in model.state_dict().items()}


def stored_name(name: str) -> str:
    """A tensor's name in the file: weight norm was written in another way when it was trained."""
    for ours, stored in _STORED_NAMES.items():
        if name.endswith(ours):
            return name.removesuffix(ours) + stored
    return name


def _fill(model: nn.Module, file: Path) -> None:
    """Give a model on the meta device its weights."""
    tensors = _read(file)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if problems := differences(found, stored_shapes(model)):
        raise SpeechWeightsUnusable(f"{file} does not hold this decoder ({problems})")
    singles = {name: tensor.float() for name, tensor in tensors.items()}
    model.load_state_dict(singles, assign=True)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SpeechWeightsUnusable(f"{file} is damaged or cut short ({reason})") from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise SpeechWeightsUnusable(f"{file} holds no table of tensors")
    return found
