"""The decoder's files as the hub has them: `flow.pt`, `hift.pt`; checked by name and shape.

A directory whose sizes are not the released ones says so in `geometry.json`.
"""

import json
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from torch import Size, Tensor, nn

from actor_server.errors import SpeechWeightsUnusable
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import SpeechGeometry
from actor_server.speech.vocoder import Vocoder

FLOW_FILE: Final = "flow.pt"
VOCODER_FILE: Final = "hift.pt"
GEOMETRY_FILE: Final = "geometry.json"
NAMED_AT_MOST: Final = 3
"""Tensors that an error names; the rest are counted."""
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
    _compare(file, {name: tensor.shape for name, tensor in tensors.items()}, stored_shapes(model))
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


def _compare(file: Path, found: dict[str, Size], expected: dict[str, Size]) -> None:
    """Raises SpeechWeightsUnusable naming what is missing, too many or of another shape."""
    wrong = [
        f"{name} is {list(found[name])}, must be {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    problems = [
        *_listed("missing", expected.keys() - found.keys()),
        *_listed("unknown", found.keys() - expected.keys()),
        *_listed("of another shape", wrong),
    ]
    if problems:
        raise SpeechWeightsUnusable(f"{file} does not hold this decoder ({'; '.join(problems)})")


def _listed(what: str, names: Iterable[str]) -> list[str]:
    """A phrase about these names, if there are any."""
    names = sorted(names)
    if not names:
        return []
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return [f"{what}: {', '.join(names[:NAMED_AT_MOST])}{more}"]
