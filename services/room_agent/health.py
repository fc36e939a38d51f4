"""The worker's health port: 200 once LiveKit can give it calls, 503 before.

LiveKit's own port says OK from the first moment on, seconds before the worker is registered; a call
that is dispatched in between waits for a watchdog.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from livekit.agents import AgentServer

from services.room_agent.config import AgentConfig


class Health:
    """What the worker can say of itself."""

    def __init__(self, config: AgentConfig, server: AgentServer) -> None:
        self._config = config
        self._server = server
        self.registered = False
        server.on("worker_registered", self._on_registered)

    def _on_registered(self, *_: object) -> None:
        self.registered = True

    async def answer(self, _: web.Request) -> web.Response:
        """GET /: is there room for a call?"""
        calls = len(self._server.active_jobs) if self.registered else 0
        state = {
            "ready": self.registered,
            "agent_name": self._config.agent_name,
            "calls": calls,
            "max_calls": self._config.max_calls,
        }
        return web.json_response(state, status=200 if self.registered else 503)


@asynccontextmanager
async def serve_health(config: AgentConfig, server: AgentServer) -> AsyncIterator[None]:
    """Answer on the health port while inside. Raises OSError when the port is taken."""
    application = web.Application()
    application.add_routes([web.get("/", Health(config, server).answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.health_host, config.health_port).start()
        yield
    finally:
        await runner.cleanup()
