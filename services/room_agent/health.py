"""The worker's health port: 200 while LiveKit can give it calls, else 503; and its metrics.

LiveKit's own port says OK from the first moment on, seconds before the worker is registered; a call
that is dispatched in between waits for a watchdog.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from livekit.agents import AgentServer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from services.room_agent.config import AgentConfig


class Health:
    """What the worker can say of itself."""

    def __init__(self, config: AgentConfig, server: AgentServer) -> None:
        self._config = config
        self._server = server
        self.registered = False
        self._registry = CollectorRegistry()
        calls = Gauge("xstreamer_agent_calls", "Calls of this worker", registry=self._registry)
        calls.set_function(self._calls)
        places = Gauge(
            "xstreamer_agent_max_calls", "Calls that it may hold", registry=self._registry
        )
        places.set(config.max_calls)
        server.on("worker_registered", self._on_registered)

    def _on_registered(self, *_: object) -> None:
        self.registered = True

    def _calls(self) -> int:
        return len(self._server.active_jobs) if self.registered else 0

    async def metrics(self, _: web.Request) -> web.Response:
        """GET /metrics. What calls measure is counted by the gateway, to which they report."""
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._registry), headers=headers)

    async def answer(self, _: web.Request) -> web.Response:
        """GET /: is there room for a call?"""
        ready = self.registered and not self._server.draining
        state = {
            "ready": ready,
            "draining": self._server.draining,
            "agent_name": self._config.agent_name,
            "calls": self._calls(),
            "max_calls": self._config.max_calls,
        }
        return web.json_response(state, status=200 if ready else 503)


@asynccontextmanager
async def serve_health(config: AgentConfig, server: AgentServer) -> AsyncIterator[None]:
    """Answer on the health port while inside. Raises OSError when the port is taken."""
    application = web.Application()
    health = Health(config, server)
    application.add_routes([web.get("/", health.answer), web.get("/metrics", health.metrics)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.health_host, config.health_port).start()
        yield
    finally:
        await runner.cleanup()
