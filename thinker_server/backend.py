"""Which engine answers: the one place where a back end is chosen, and only that one is imported."""

from typing import Any, Protocol

from proto.messages import OpenThinkerSession
from thinker_server.config import ThinkerConfig
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Send
from thinker_server.session import ThinkerSession


class Engine(Protocol):
    """Everything of a process that is loaded once and shared by its sessions."""

    @property
    def config(self) -> ThinkerConfig:
        """What it was loaded with."""
        ...

    @property
    def metrics(self) -> ThinkerMetrics:
        """What it measures about itself."""
        ...

    async def open(self, opened: OpenThinkerSession, send: Send) -> ThinkerSession[Any]:
        """A session, ready to run. Raises ThinkerError."""
        ...

    def labels(self) -> dict[str, str]:
        """What runs, for people."""
        ...

    async def close(self) -> None:
        """Free the models; all sessions must be over."""
        ...


def load_engine(config: ThinkerConfig) -> Engine:
    """Load the configured back end. Slow; raises ThinkerError."""
    if config.backend == "glm4voice":
        from thinker_server.glm4voice.engine import GlmEngine

        return GlmEngine.load(config)
    from thinker_server.engine import ThinkerEngine

    return ThinkerEngine.load(config)
