"""For machines: is the process alive, can calls be made, what has been counted."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.access import MetricsKey, SeesFigures
from gateway.deps import ServicesDep
from gateway.errors import GatewayError, problem_docs
from gateway.schemas import Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", responses=problem_docs(503))
async def healthz(services: ServicesDep) -> dict[str, str]:
    """The process runs, and so does its work beside the requests. A 503 names in `failing` what
    fails: calls may be looked after by nobody.
    """
    if failing := services.background.failing:
        raise GatewayError(
            503,
            "background_work_fails",
            f"Background work fails: {', '.join(failing)}",
            "The gateway's log says why. It is tried again all the time.",
            failing=failing,
        )
    return {"status": "ok"}


@router.get("/readyz", responses=problem_docs(503))
async def readyz(services: ServicesDep, sees_figures: SeesFigures) -> Readiness:
    """Every part that a call needs. A 503 lists what is missing in `not_ready` and `parts`.

    Without the scope `metrics`, where keys are asked for, both are empty.
    """
    readiness = await services.readiness.look()
    if not sees_figures:
        readiness = Readiness(ready=readiness.ready, not_ready=[], parts={})
    if readiness.ready:
        return readiness
    missing = f": {', '.join(readiness.not_ready)}" if readiness.not_ready else ""
    raise GatewayError(
        503,
        "not_ready",
        f"Not ready{missing}",
        "Parts that just started need a while; `xstreamer doctor` names what is missing.",
        **readiness.model_dump(),
    )


@router.get("/metrics", response_class=Response, responses=problem_docs(401, 403))
async def metrics(_caller: MetricsKey) -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
