"""The Triton side of a language model: tensors in, responses out. Imported inside Triton only."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from gyre_models.contract.outcome import Emission, Outcome
from gyre_models.contract.refusal import Refusal, invalid
from gyre_models.contract.request import GenerationRequest, read_request
from gyre_models.contract.sender import Sender
from gyre_models.contract.tensors import INPUTS
from gyre_models.contract.traces import Trace

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
NAMES = tuple(spec.name for spec in INPUTS)
PRIORITY = "gyre_priority"
TRACEPARENT = "traceparent"


class TritonCaller:
    """One request's way back to its client."""

    def __init__(self, request: Any, sender: Sender, trace: Trace | None) -> None:
        self._responses = request.get_response_sender()
        self._sender, self._trace = sender, trace

    def send(self, emission: Emission) -> None:
        self._sender.put(self, emission)
        if emission.last and self._trace is not None:
            self._trace.ended(emission)

    def cancelled(self) -> bool:
        return bool(self._responses.is_cancelled())

    def deliver(self, emission: Emission) -> None:
        """For the sender's thread. FINAL goes with the last data response."""
        self._responses.send(_response(emission), flags=FINAL if emission.last else 0)


def deliver(caller: TritonCaller, emission: Emission) -> None:
    caller.deliver(emission)


class Parameters:
    """What travels beside the tensors."""

    def __init__(self, request: Any) -> None:
        self._values: dict[str, Any] = json.loads(request.parameters() or "{}")

    @property
    def traceparent(self) -> str:
        """W3C trace context of the caller's span, or empty."""
        return str(self._values.get(TRACEPARENT, ""))

    @property
    def priority(self) -> int:
        value = self._values.get(PRIORITY, 0)
        if not isinstance(value, int):
            raise invalid(f"{PRIORITY} must be an integer: lower goes first")
        return value


def read(request: Any, given: Parameters) -> GenerationRequest:
    """Copies all tensors: they are gone when `execute` returns. Raises `Refusal`."""
    tensors: dict[str, NDArray[Any]] = {}
    for name in NAMES:
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor is not None:
            tensors[name] = tensor.as_numpy()
    micros = request.timeout()
    request_of = read_request(tensors, micros / 1e6 if micros else None, given.priority)
    return replace(request_of, traceparent=given.traceparent)


def _response(emission: Emission) -> Any:
    if emission.refusal is not None:
        return pb_utils.InferenceResponse(output_tensors=[], error=_error(emission.refusal))
    tensors = [_text("text_output", emission.text), _ids(emission.token_ids)]
    if emission.outcome is not None:
        tensors += _ending(emission.outcome)
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _error(refusal: Refusal) -> Any:
    return pb_utils.TritonError(
        str(refusal), getattr(pb_utils.TritonError, refusal.prefix.triton_code)
    )


def _ending(outcome: Outcome) -> list[Any]:
    integers = {
        "num_input_tokens": outcome.input_tokens,
        "num_output_tokens": outcome.output_tokens,
        "num_cached_tokens": outcome.cached_tokens,
    }
    times = {
        "queue_ns": outcome.queue_ns,
        "ttft_ns": outcome.first_token_ns,
        "total_ns": outcome.total_ns,
    }
    tensors = [
        _text("finish_reason", outcome.finish_reason.value),
        _text("stop_reason", outcome.stop_reason),
        *(pb_utils.Tensor(name, np.array([n], np.int32)) for name, n in integers.items()),
        *(pb_utils.Tensor(name, np.array([n], np.int64)) for name, n in times.items()),
    ]
    if outcome.log_probs is not None:
        scores = np.array(outcome.log_probs, np.float32)
        tensors.append(pb_utils.Tensor("output_log_probs", scores))
    return tensors


def _text(name: str, text: str) -> Any:
    return pb_utils.Tensor(name, np.array([text.encode()], dtype=np.object_))


def _ids(tokens: list[int]) -> Any:
    return pb_utils.Tensor("token_ids", np.array(tokens, np.int32))


def log_to_stderr() -> None:
    """Triton's log file is what the stub writes to stderr."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
