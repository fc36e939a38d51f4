"""Messages survive a file, and a damaged file is refused."""

from pathlib import Path

import numpy as np
import pytest

from proto.codec import encode
from proto.message import MessageError
from proto.message_file import read_messages, write_messages
from tests.unit.proto.examples import EXAMPLES

pytestmark = pytest.mark.unit


def test_every_kind_of_message_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "all.messages"
    write_messages(path, EXAMPLES)
    back = read_messages(path)
    assert [[bytes(np.asarray(f)) for f in encode(m)] for m in back] == [
        [bytes(np.asarray(f)) for f in encode(m)] for m in EXAMPLES
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_has_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "none.messages"
    write_messages(path, [])
    assert read_messages(path) == []


@pytest.mark.parametrize("kept", [2, 9, 30, -1])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.messages"
    write_messages(path, EXAMPLES[:1])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(MessageError):
        read_messages(path)
