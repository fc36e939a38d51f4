"""An Actor without memory, on the meta device: its names and shapes, or to be given its tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from actor_server.model.geometry import ActorGeometry
from actor_server.model.video_transformer import VideoTransformer


def empty_actor(geometry: ActorGeometry) -> VideoTransformer:
    """A model whose tensors have a type and a shape only."""
    with torch.device("meta"), _NothingDrawn():
        return VideoTransformer(geometry)


class _NothingDrawn(TorchFunctionMode):
    """To draw normal numbers that are none torch imports 900 modules: 4 s and 150 MB."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        return given["tensor"] if function is nn.init.normal_ else function(*args, **given)
