"""Puts the gateway together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from livekit import api

from gateway.admission import Admission
from gateway.avatars import Avatars
from gateway.background import Background
from gateway.calls import Calls
from gateway.capacity import EngineMeter, LoadMeter
from gateway.defaults import crop_defaults, seed
from gateway.deps import Services
from gateway.errors import PROBLEM_JSON, Problem, install_error_handlers, problem_docs
from gateway.guard import READING, GuardMiddleware
from gateway.headers import HeadersMiddleware
from gateway.keys import Keys
from gateway.latency import Latency
from gateway.lifelines import Lifelines
from gateway.livekit_rooms import RoomServer, livekit_rooms
from gateway.portrait_check import ActorPortraitChecker, PortraitChecker
from gateway.portraits import PortraitFiles
from gateway.rate_limits import RateLimit
from gateway.readiness import ReadinessProbe
from gateway.retention import Retention
from gateway.routes import (
    avatars,
    health,
    keys,
    latency,
    lifeline,
    pages,
    provenance,
    rooms,
    webhook,
)
from gateway.routes.keys import NewKey
from gateway.schemas import AtCapacity, NewRoom
from gateway.settings import GatewaySettings
from gateway.signal_proxy import router as signal_router
from gateway.spans import SpanExport, span_export
from gateway.store.avatars import AvatarStore
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.keys import KeyStore
from gateway.store.turns import TurnStore
from gateway.watchdog import Watchdog
from gateway.workers import Workers
from proto.messages import Mood

logger = logging.getLogger(__name__)
API_VERSION = "1"


def create_app(
    settings: GatewaySettings,
    checker: PortraitChecker | None = None,
    room_server: RoomServer | None = None,
    meter: LoadMeter | None = None,
) -> FastAPI:
    """The gateway. What is not given is the real one: Actor, LiveKit, the engines' load."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            rooms_ = room_server
            if rooms_ is None:
                rooms_ = await stack.enter_async_context(livekit_rooms(settings))
            checker_ = checker or ActorPortraitChecker(
                settings.actor_endpoint,
                settings.portrait_timeout_s,
                settings.curve_to(settings.actor_curve_server_key),
            )
            http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            database = Database(settings.resolved_database_url)
            stack.callback(database.close)
            export = span_export(settings.otlp_endpoint)
            stack.callback(export.close)
            workers = Workers()
            meter_ = meter or EngineMeter(settings, http, workers)
            services = _services(
                settings, database, checker_, rooms_, http, export, meter_, workers
            )
            app.state.services = services
            await asyncio.to_thread(_prepare, database, services)
            async with asyncio.TaskGroup() as tasks:
                watchdog = Watchdog(services.calls, workers)
                background = [
                    tasks.create_task(services.background.keep_up(name, work), name=name)
                    for name, work in (
                        ("watchdog", watchdog.run),
                        ("replace-the-dead", watchdog.replace_the_dead),
                        ("retention", services.retention.run),
                        ("load-meter", meter_.run),
                        ("crop-defaults", partial(crop_defaults, services.avatars)),
                    )
                ]
                yield
                for task in background:
                    task.cancel()

    app = FastAPI(
        title="X-Streamer gateway",
        version=API_VERSION,
        description="Live video calls with a digital human made from one portrait.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    install_error_handlers(app)
    app.add_middleware(GuardMiddleware, settings=settings)
    app.add_middleware(HeadersMiddleware, livekit_public_url=settings.livekit_public_url)
    for module in (avatars, rooms, latency, lifeline, keys, health, provenance, webhook, pages):
        app.include_router(module.router)
    app.include_router(signal_router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _services(
    settings: GatewaySettings,
    database: Database,
    checker: PortraitChecker,
    room_server: RoomServer,
    http: httpx.AsyncClient,
    export: SpanExport,
    meter: LoadMeter,
    workers: Workers,
) -> Services:
    call_store = CallStore(database)
    portraits = PortraitFiles(settings.data_dir / "portraits")
    lifelines = Lifelines()
    secret = settings.livekit_api_secret.get_secret_value()
    avatars_ = Avatars(settings, AvatarStore(database), portraits, checker)
    calls = Calls(settings, call_store, portraits, room_server, lifelines)
    latency_ = Latency(TurnStore(database), export)
    return Services(
        settings=settings,
        avatars=avatars_,
        calls=calls,
        admission=Admission(settings, call_store, meter),
        lifelines=lifelines,
        latency=latency_,
        retention=Retention(settings, database, avatars_, calls, latency_),
        readiness=ReadinessProbe(settings, database, room_server, http),
        keys=Keys(KeyStore(database)),
        creations=RateLimit(settings.creations_per_minute),
        token_verifier=api.TokenVerifier(settings.livekit_api_key, secret),
        http=http,
        workers=workers,
        background=Background(),
    )


def _prepare(database: Database, services: Services) -> None:
    database.migrate()
    services.keys.configure(services.settings.admin_key)
    seed(services.avatars)
    services.avatars.drop_originals()


def _guarded(writes: bool) -> dict[int | str, dict[str, Any]]:
    """What any route may answer, for the guard stands before all of them."""
    return problem_docs(400, 421, 429, *((403,) if writes else ()))


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the models that hand-read bodies and problems refer to.

    FastAPI adds its own 422 to every route with parameters; ours are problems, and path parameters
    that are any text cannot fail.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        for operations in document["paths"].values():
            for method, operation in operations.items():
                answers = operation["responses"]
                if PROBLEM_JSON not in answers.get("422", {}).get("content", {PROBLEM_JSON: None}):
                    del answers["422"]
                for status, answer in _guarded(method.upper() not in READING).items():
                    answers.setdefault(str(status), answer)
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for model in (Problem, AtCapacity, NewRoom, NewKey, Mood):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        app.openapi_schema = document
    return app.openapi_schema
