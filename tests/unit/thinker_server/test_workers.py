"""Threads that end leave nothing behind that waited for them."""

from threading import Event, Timer

import pytest

from thinker_server.workers import Workers

pytestmark = pytest.mark.unit


def test_streams_that_wait_to_be_freed_are_freed_at_the_end() -> None:
    workers, busy, freed = Workers(), Event(), Event()
    workers.hearing.submit(busy.wait, 10)
    workers.hearing.submit(freed.set)
    Timer(0.05, busy.set).start()
    workers.close()
    assert freed.is_set()
