"""Errors in OpenAI's shape, with the HTTP status that makes its clients do the right thing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gyre_client.errors import GyreError
from starlette.exceptions import HTTPException
from starlette.requests import Request

# gRPC status -> HTTP status, OpenAI's type, OpenAI's code.
KINDS: Mapping[str, tuple[int, str, str | None]] = {
    "INVALID_ARGUMENT": (400, "invalid_request_error", None),
    "FAILED_PRECONDITION": (400, "invalid_request_error", None),
    "UNAUTHENTICATED": (401, "authentication_error", "invalid_api_key"),
    "PERMISSION_DENIED": (403, "permission_error", None),
    "NOT_FOUND": (404, "invalid_request_error", "not_found"),
    "CANCELLED": (499, "invalid_request_error", "cancelled"),
    "RESOURCE_EXHAUSTED": (429, "rate_limit_error", "rate_limit_exceeded"),
    "UNAVAILABLE": (503, "server_error", "unavailable"),
    "DEADLINE_EXCEEDED": (504, "server_error", "timeout"),
}
UNKNOWN = (500, "server_error", None)
TOO_LARGE = "the body is larger than {} bytes"


def body_of(error: GyreError) -> dict[str, Any]:
    """The JSON body, also sent inside a stream that has begun."""
    _, kind, code = KINDS.get(error.status, UNKNOWN)
    # A service names a time to wait; what names none is the way to it: addresses stay inside.
    away = error.status == "UNAVAILABLE" and error.retry_after is None
    message = "a service behind the edge does not answer: try again" if away else str(error)
    return _body(message, kind, code, next(iter(error.violations), None))


def no_model(asked: str, known: str) -> GyreError:
    """A request for an embedding model that is not served."""
    problem = f"there is no embedding model {asked!r} here: ask {known!r}"
    return GyreError("NOT_FOUND", "unknown model", {"model": problem})


def wrong_dimension(made: int) -> GyreError:
    """A request for shorter vectors than the model makes."""
    return GyreError("INVALID_ARGUMENT", "wrong size", {"dimensions": f"the model makes {made}"})


def too_large(limit: int) -> JSONResponse:
    """The reply to a body that says that it is too large."""
    return JSONResponse(_body(TOO_LARGE.format(limit), "invalid_request_error", None, None), 413)


async def _failed(_: Request, error: Any) -> JSONResponse:
    wait = error.retry_after
    headers = {} if wait is None else {"retry-after": str(math.ceil(wait))}
    return JSONResponse(body_of(error), KINDS.get(error.status, UNKNOWN)[0], headers)


async def _not_valid(_: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body") or None
    message = f"{place}: {first['msg']}" if place else first["msg"]
    return JSONResponse(_body(message, "invalid_request_error", None, place), 400)


async def _refused(_: Request, error: Any) -> JSONResponse:
    body = _body(str(error.detail), "invalid_request_error", None, None)
    return JSONResponse(body, error.status_code)


HANDLERS: Mapping[type[Exception], Callable[[Request, Any], Any]] = {
    GyreError: _failed,
    RequestValidationError: _not_valid,
    HTTPException: _refused,
}


def _body(message: str, kind: str, code: str | None, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
