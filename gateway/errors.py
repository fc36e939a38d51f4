"""Errors for clients, always as application/problem+json (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

logger = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"
UNAVAILABLE_RETRY_S = 2


class Problem(BaseModel):
    """What went wrong (`code` is stable, `title` and `hint` are for people) and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str = Field(examples=["The picture shows no face"])
    status: int = Field(examples=[422])
    code: str = Field(examples=["no_face"])
    hint: str | None = Field(default=None, examples=["Use a picture that shows one face."])


class GatewayError(Exception):
    """An answer other than success; raised anywhere in a request, written out by one handler."""

    def __init__(self, status: int, code: str, title: str, hint: str | None = None, **extra: Any):
        super().__init__(title)
        self.problem = Problem(title=title, status=status, code=code, hint=hint, **extra)


def not_found(kind: str, name: str) -> GatewayError:
    """404 for an avatar or a room."""
    return GatewayError(404, f"{kind}_not_found", f"There is no {kind} {name!r}")


def unavailable(code: str, title: str, hint: str) -> GatewayError:
    """503: a part that this request needs does not answer."""
    return GatewayError(503, code, title, hint)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP response of a problem."""
    body = problem.model_dump(exclude_none=True)
    told = {**_headers_of(problem, body), **(headers or {})}
    return JSONResponse(body, problem.status, told, media_type=PROBLEM_JSON)


def _headers_of(problem: Problem, body: Mapping[str, Any]) -> dict[str, str]:
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE or "retry_after_s" in body:
        return {"Retry-After": str(body.get("retry_after_s", UNAVAILABLE_RETRY_S))}
    return {}


def problem_docs(
    *statuses: int, schemas: tuple[type[Problem], ...] = (Problem,)
) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the problems that a route may answer with."""
    refs = [{"$ref": f"#/components/schemas/{schema.__name__}"} for schema in schemas]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        for status in statuses
    }


def wrong_fields(error: ValidationError) -> RequestValidationError:
    """What a model found wrong with a body that was read by hand."""
    errors = error.errors(include_url=False, include_context=False)
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors])


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(DataError, _on_unstorable)
    app.add_exception_handler(Exception, _on_crash)


async def _on_gateway_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    return problem_response(error.problem)


async def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(step) for step in e["loc"]), "message": e["msg"]}
        for e in error.errors()
    ]
    hint = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
    return problem_response(
        Problem.model_validate(
            {
                "title": "The request is not valid",
                "status": 422,
                "code": "invalid_request",
                "hint": hint,
                "errors": errors,
            }
        )
    )


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    problem = Problem(title=str(error.detail), status=error.status_code, code=code)
    return problem_response(problem, error.headers)


async def _on_unstorable(_request: Request, _error: Exception) -> Response:
    """PostgreSQL takes no text with a zero byte."""
    return problem_response(
        Problem(
            title="The request holds a character that cannot be stored",
            status=422,
            code="invalid_request",
            hint="Remove control characters.",
        )
    )


async def _on_crash(request: Request, error: Exception) -> Response:
    logger.error("request failed", exc_info=error, extra={"path": request.url.path})
    return problem_response(
        Problem(
            title="The gateway made a mistake",
            status=500,
            code="internal_error",
            hint="Try again; if it happens again, look at the gateway's log.",
        )
    )
