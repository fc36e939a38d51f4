"""What the Actor made, and what that cost, as metrics."""

from actor_server import metrics
from actor_server.render_thread import RenderThread
from actor_server.saving import Saving
from proto.message import Message
from proto.messages import AVChunk, Failure


class Tally:
    """Of one rendering thread; which calls saved work is kept, so that a step is counted once."""

    def __init__(self, render: RenderThread) -> None:
        self._render = render
        self._saving: tuple[Saving, ...] = ()

    def made(self, message: Message) -> None:
        """The rendering thread made this for somebody."""
        if isinstance(message, AVChunk):
            metrics.CHUNKS.labels("speech" if message.audio_tokens else "quiet").inc()
            load = self._render.load
            metrics.REAL_TIME_FACTOR.set(load.real_time_factor)
            self._saves(load.saving)
            metrics.CREDITS.set(load.queue_depth)
            metrics.QUEUE_DEPTH.set(self._render.waiting)
            metrics.CHUNK_SECONDS.observe(load.last_work_us / 1e6)
        elif isinstance(message, Failure):
            metrics.FAILURES.labels(message.code).inc()

    def rests(self) -> None:
        """The last session is over: no chunk comes that would say that there is nothing to do."""
        self._saves(())
        metrics.REAL_TIME_FACTOR.set(0)
        metrics.CREDITS.set(0)

    def _saves(self, saving: tuple[Saving, ...]) -> None:
        for step in metrics.STEPS:
            metrics.EASED.labels(step.label).set(saving.count(step))
            now, before = (sum(one >= step for one in all_) for all_ in (saving, self._saving))
            metrics.DEGRADATIONS.labels(step.label).inc(max(0, now - before))
        self._saving = saving
