"""What goes wrong at the model server, as faults.

Status codes are lost in its streams; the prefixes of its messages are not.
"""

from __future__ import annotations

import re

import grpc

from gyre_inference.domain.faults import (
    DeadlinePassed,
    Fault,
    InvalidRequest,
    Overloaded,
    Unavailable,
)

_PREFIX = re.compile(r"\[([A-Z_]+)\] (.*)", re.DOTALL)
_REFUSED = {
    "INVALID_ARGUMENT": "parameters",
    "PROMPT_TOO_LONG": "messages",
    "UNKNOWN_ADAPTER": "model",
}
_RETRY = 1.0


def fault_of_stream(model: str, message: str) -> Fault:
    """For an error message inside a stream."""
    match = _PREFIX.search(message)
    prefix, detail = match.groups() if match else ("", "")
    if prefix in _REFUSED:
        return InvalidRequest({_REFUSED[prefix]: detail})
    if prefix == "QUEUE_FULL":
        return Overloaded("the model's queue is full", retry_after=_RETRY)
    if prefix == "DEADLINE_EXCEEDED":
        return DeadlinePassed("the model ran out of the time that was left")
    return Unavailable(f"model {model} cannot answer now", retry_after=_RETRY)


def fault_of_call(model: str, error: grpc.aio.AioRpcError) -> Fault:
    """For a stream that broke."""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlinePassed("the deadline passed while the model was writing")
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded("the model server takes no more requests", retry_after=_RETRY)
    return Unavailable(f"the server of model {model} does not answer", retry_after=_RETRY)


def silence(model: str, seconds: float) -> Fault:
    """For a model that is up by its own account and says nothing: its process is dead or stuck."""
    return Unavailable(f"model {model} was silent for {seconds:g} s", retry_after=_RETRY)
