"""The threads in which slow work runs, so that the event loop never waits for a model.

The brain has a worker of its own (brain/transformers_brain.py).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

VOICING_THREADS = 2
"""So that a slow voice does not hold up another session's quick one."""


class Workers:
    """One thread for recognition, whose library takes one caller at a time; two for voices, and one
    in which voices are loaded, for which nobody's speech waits.
    """

    def __init__(self) -> None:
        self.hearing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hearing")
        self.voicing = ThreadPoolExecutor(VOICING_THREADS, thread_name_prefix="voicing")
        self.loading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loading")

    async def hear(self, work: Callable[[], T]) -> T:
        """Run recogniser work in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self.hearing, work)

    async def load(self, work: Callable[[], T]) -> T:
        """Load a voice."""
        return await asyncio.get_running_loop().run_in_executor(self.loading, work)

    def close(self) -> None:
        """End the threads after their current work; streams that wait to be freed are freed."""
        self.hearing.shutdown(wait=True)
        self.voicing.shutdown(wait=True, cancel_futures=True)
        self.loading.shutdown(wait=True, cancel_futures=True)
