"""Span and figures of one generation, under the names of the OpenTelemetry GenAI conventions."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from gyre_runtime.telemetry import current_traceparent, histogram, names, tracer
from opentelemetry import trace

from gyre_inference.domain.faults import Fault
from gyre_inference.domain.generation import Ending, ModelRequest, Piece

_duration = histogram(
    names.CLIENT_OPERATION_DURATION.replace(".", "_"),
    "Seconds from request to last piece, by model and how it ended",
    ["model", "status"],
)
_first_token = histogram(
    names.SERVER_TIME_TO_FIRST_TOKEN.replace(".", "_"),
    "Seconds from request to first piece, by model",
    ["model"],
)


class Operation:
    """One `chat`; used as a context manager around the call."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._begin = time.monotonic()
        self._first: float | None = None
        self._span = tracer(__name__).start_span(
            f"chat {request.model}", kind=trace.SpanKind.CLIENT, attributes=_attributes(request)
        )

    def traceparent(self) -> str:
        """The engine's span continues this one."""
        with trace.use_span(self._span, end_on_exit=False):
            return current_traceparent()

    def saw(self, piece: Piece) -> None:
        """Notes the time of the first text, and what the model says at its end."""
        if self._first is None and piece.text:
            self._first = time.monotonic() - self._begin
            self._span.set_attribute(names.RESPONSE_TIME_TO_FIRST_CHUNK, self._first)
            _first_token.labels(self._request.model).observe(self._first)
        if piece.ending:
            self._ended(piece.ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        status = _status(error)
        if error is not None:
            self._span.set_attribute(names.ERROR_TYPE, status)
        _duration.labels(self._request.model, status).observe(time.monotonic() - self._begin)
        self._span.end()

    def _ended(self, ending: Ending) -> None:
        self._span.set_attribute(names.RESPONSE_FINISH_REASONS, (ending.reason.value.lower(),))
        self._span.set_attribute(names.USAGE_INPUT_TOKENS, ending.usage.input_tokens)
        self._span.set_attribute(names.USAGE_OUTPUT_TOKENS, ending.usage.output_tokens)


def _status(error: BaseException | None) -> str:
    if error is None:
        return "OK"
    if isinstance(error, Fault):
        return error.status
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"


def _attributes(request: ModelRequest) -> dict[str, str | int | float | bool]:
    parameters = request.parameters
    asked: dict[str, str | int | float | None] = {
        names.OPERATION_NAME: "chat",
        names.PROVIDER_NAME: "triton",
        names.REQUEST_MODEL: request.model,
        names.REQUEST_STREAM: True,
        names.RESPONSE_ID: request.request_id,
        names.REQUEST_MAX_TOKENS: parameters.max_tokens,
        names.REQUEST_TEMPERATURE: parameters.temperature,
        names.REQUEST_TOP_P: parameters.top_p,
        names.REQUEST_TOP_K: parameters.top_k,
        names.REQUEST_SEED: parameters.seed,
    }
    return {name: value for name, value in asked.items() if value is not None}
