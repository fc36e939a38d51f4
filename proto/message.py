"""The envelope that every message wears."""

from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from proto.tensor import Tensor

PROTOCOL_VERSION = 1
MAX_STAMPS = 64

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
Micros = Annotated[int, Field(ge=0, le=2**62)]
MAX_COUNT = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class MessageError(ValueError):
    """A message breaks the protocol; the text says which rule."""


class WireModel(BaseModel):
    """Frozen and strict: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
    )


class Stamp(WireModel):
    """One moment on a message's way, on the CLOCK_MONOTONIC of `host`."""

    name: Name
    at_us: Micros
    host: Name


class Message(WireModel):
    """Envelope of every message. `seq` and `sent_us` are filled by the socket that sends it."""

    TENSORS: ClassVar[dict[str, Tensor]] = {}

    version: Annotated[int, Field(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION)] = PROTOCOL_VERSION
    session_id: SessionId
    epoch: Count = 0
    seq: Micros = 0
    sent_us: Micros = 0
    stamps: Annotated[tuple[Stamp, ...], Field(max_length=MAX_STAMPS, fail_fast=True)] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        found = ((name, _tensor_of(field)) for name, field in cls.model_fields.items())
        cls.TENSORS = {name: tensor for name, tensor in found if tensor is not None}

    @model_validator(mode="after")
    def _dimensions_agree(self) -> Self:
        sizes: dict[str, int] = {}
        for name, tensor in self.TENSORS.items():
            if (array := getattr(self, name)) is not None:
                tensor.bind(array, sizes)
        return self

    def stamped(self, name: str, at_us: int, host: str) -> Self:
        """A copy with one more trace stamp; past MAX_STAMPS the message stays as it is."""
        if len(self.stamps) >= MAX_STAMPS:
            return self
        stamp = Stamp(name=name, at_us=at_us, host=host)
        return self.model_copy(update={"stamps": (*self.stamps, stamp)})


def _tensor_of(field: Any) -> Tensor | None:
    """The Tensor rule in a field's annotation, be the field optional or not."""
    candidates = [*field.metadata]
    for choice in get_args(field.annotation):
        candidates += getattr(choice, "__metadata__", ())
    return next((c for c in candidates if isinstance(c, Tensor)), None)
