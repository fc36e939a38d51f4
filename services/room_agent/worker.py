"""The LiveKit agent worker: takes jobs, and runs one call in each job process."""

import asyncio
import logging
from functools import partial

from livekit.agents import AgentServer, JobContext, JobProcess, JobRequest
from pydantic import ValidationError

from services.provenance import ProvenanceKey, statement
from services.room_agent.attributes import SYNTHETIC
from services.room_agent.config import AgentConfig
from services.room_agent.ears import Models, local_turn_model, local_voice_model
from services.room_agent.engines import ZmqEngines
from services.room_agent.gateway_line import LAST_S
from services.room_agent.job import CallJob
from services.room_agent.lifeline import HOLDS_ONE
from services.room_agent.livekit_room import Declaration, LiveKitRoom
from services.room_agent.portrait import PortraitAway, PortraitMissing, load_portrait
from services.room_agent.room_agent import RoomAgent

log = logging.getLogger(__name__)

MODELS = "models"
INITIALIZE_TIMEOUT_S = 60.0
"""A cold process on a busy machine; LiveKit's default of 10 s kills it while it imports."""
PRELOAD = [
    "services.room_agent.room_agent",
    "services.room_agent.livekit_room",
    # httpx loads these with its first client and its first request, 0.3 s in mid-call
    "httpcore",
    "anyio._backends._asyncio",
]
"""Imported once and shared by all job processes."""
UNSIGNED = (
    "streams are not signed as synthetic (xs.provenance): XSTREAMER_AGENT_PROVENANCE_KEY is empty; "
    "docs/privacy.md has the commands that make a key"
)
LEAVE_S = 5.0
"""A call that is told to end has ended within this time, when its last report is told or lost."""


def build_server(config: AgentConfig) -> AgentServer:
    """The worker of this configuration, ready to run."""
    if not config.provenance_key.get_secret_value():
        log.warning(UNSIGNED)
    server = AgentServer(
        ws_url=config.livekit_url,
        api_key=config.livekit_api_key,
        api_secret=config.livekit_api_secret.get_secret_value(),
        host="127.0.0.1",
        port=0,  # its own health port says too little: see health.py
        setup_fnc=partial(warm_up, config),
        load_fnc=partial(load, config),
        load_threshold=0.99,
        num_idle_processes=config.num_idle_processes,
        initialize_process_timeout=INITIALIZE_TIMEOUT_S,
        drain_timeout=config.drain_timeout_s,
        shutdown_process_timeout=LAST_S + LEAVE_S,
        preload_modules=PRELOAD,
        log_level=config.log_level,
    )
    server.rtc_session(
        partial(run_job, config),
        agent_name=config.agent_name,
        on_request=partial(take_request, config),
    )
    return server


def job_environment(config: AgentConfig) -> dict[str, str]:
    """What jobs read from their environment; set before the process is forked that makes them."""
    environ = {
        "LIVEKIT_URL": config.livekit_url,
        "LIVEKIT_API_KEY": config.livekit_api_key,
        "LIVEKIT_API_SECRET": config.livekit_api_secret.get_secret_value(),
    }
    if not config.end_of_turn_model:
        # LiveKit loads the model into every process unless it is told not to.
        environ["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] = "0"
    return environ


def load(config: AgentConfig, server: AgentServer) -> float:
    """Share of the calls that this worker may hold."""
    return min(1.0, len(server.active_jobs) / config.max_calls)


def warm_up(config: AgentConfig, process: JobProcess) -> None:
    """Load the local models before a call comes."""
    turn = local_turn_model() if config.end_of_turn_model else None
    process.userdata[MODELS] = Models(local_voice_model(), turn)


async def take_request(config: AgentConfig, request: JobRequest) -> None:
    """Accept a call; one whose metadata is none is refused for good."""
    try:
        job = CallJob.from_metadata(request.job.metadata)
    except ValidationError as error:
        # Without the input, which may hold what was said.
        reason = str(error.errors(include_url=False, include_context=False, include_input=False))
        log.warning("job refused", extra={"reason": reason, "room": request.room.name})
        await request.reject()
        return
    watched = {} if config.gateway() is None else {HOLDS_ONE: "true"}
    await request.accept(
        name=job.avatar.name,
        identity=f"avatar-{request.id}",
        attributes={"lk.agent.state": "initializing", **SYNTHETIC, **watched},
    )


async def run_job(config: AgentConfig, context: JobContext) -> None:
    """Begin a call; it lasts until the caller is gone or the worker stops."""
    job = CallJob.from_metadata(context.job.metadata)
    context.log_context_fields = {"call": job.call_id}
    try:
        portrait = await load_portrait(config, job)
    except PortraitMissing as error:
        # Whoever dispatches this job again would fail again: the call is over.
        log.error("call without portrait", extra={"reason": str(error)})
        await context.delete_room()
        context.shutdown("portrait missing")
        return
    except PortraitAway as error:
        # The watchdog sends another agent soon.
        log.warning("the portrait is not to be had now", extra={"reason": str(error)})
        context.shutdown("portrait away")
        return
    room = LiveKitRoom(
        context,
        config.audio_queue_ms,
        _declaration(config, job),
        took_over=job.conversation is not None,
    )
    engines = partial(ZmqEngines, config, job, portrait)
    agent = RoomAgent(config, job, room, context.proc.userdata[MODELS], engines)
    # LiveKit asks a job to stop only after its entry point has returned, so the call goes on in
    # a task, and the shutdown callback waits for it.
    call = asyncio.create_task(agent.run(), name="call")
    call.add_done_callback(partial(_ended, context))

    async def hang_up(reason: str) -> None:
        agent.end(reason)
        await asyncio.wait([call])

    context.add_shutdown_callback(hang_up)
    joined = asyncio.create_task(agent.joined.wait(), name="joined")
    await asyncio.wait({call, joined}, return_when=asyncio.FIRST_COMPLETED)
    joined.cancel()


def _declaration(config: AgentConfig, job: CallJob) -> Declaration | None:
    """States of whom the stream is, signed; None where there is no key to sign with."""
    if not (text := config.provenance_key.get_secret_value()):
        return None
    key = ProvenanceKey(text)
    return lambda room, identity, tracks: key.sign(statement(room, identity, job.avatar.id, tracks))


def _ended(context: JobContext, call: "asyncio.Task[str]") -> None:
    """The job's process ends with its call, however that ended."""
    if call.cancelled():
        context.shutdown("cancelled")
    elif (error := call.exception()) is not None:
        log.error("call failed", exc_info=error)
        context.shutdown("call failed")
    else:
        context.shutdown(call.result())
