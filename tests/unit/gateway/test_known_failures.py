"""The failures that metrics name are those that engines send."""

from collections.abc import Iterator
from typing import get_args

import pytest

from actor_server.errors import ActorError
from gateway.metrics import KNOWN_FAILURES
from proto.portrait_code import PortraitCode
from thinker_server.errors import ThinkerError

pytestmark = pytest.mark.unit

OF_THE_WIRE = "bad_message"


def codes(error: type[ActorError] | type[ThinkerError]) -> Iterator[str]:
    """The codes of an error and of all that derive from it."""
    yield error.code
    for narrower in error.__subclasses__():
        yield from codes(narrower)


def test_failures_have_labels_of_their_own_and_no_label_is_without_a_failure() -> None:
    portraits = set(get_args(PortraitCode)) - {"ok"}
    sent = {*codes(ActorError), *codes(ThinkerError), *portraits, OF_THE_WIRE}
    assert {"reply_failed", "portrait_desk_busy", "no_face"} < sent
    assert sent == KNOWN_FAILURES
