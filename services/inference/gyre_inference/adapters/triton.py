"""Language models on Triton: one ModelStreamInfer per generation, over the bare protocol.

tritonclient's own client ignores the marks of last responses and does not cancel on `break`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import grpc
from gyre_runtime.rpc import RECONNECTING
from gyre_runtime.telemetry import logger
from tritonclient.grpc import service_pb2 as kserve
from tritonclient.grpc import service_pb2_grpc

from gyre_inference.adapters.connection import Connection
from gyre_inference.adapters.triton_errors import fault_of_call, fault_of_stream, silence
from gyre_inference.adapters.triton_telemetry import Operation
from gyre_inference.adapters.triton_tensors import infer_request, is_last, piece
from gyre_inference.domain.generation import ModelRequest, Piece

_log = logger(__name__)
_VERSION_LIVES = 60.0
_ENDS = 5.0  # seconds from the last response to the stream's end, at most
_CONTENT = "gyre_content_sha256"

Answers: TypeAlias = (
    "grpc.aio.StreamStreamCall[kserve.ModelInferRequest, kserve.ModelStreamInferResponse]"
)
Triton = Connection[service_pb2_grpc.GRPCInferenceServiceStub]


def triton_at(address: str) -> Triton:
    """Without the callers' credentials: the model server is not to see them."""
    options = [("grpc.keepalive_time_ms", 30_000), *RECONNECTING]
    return Connection(
        lambda: grpc.aio.insecure_channel(address, options),
        service_pb2_grpc.GRPCInferenceServiceStub,
    )


@dataclass(frozen=True)
class Watchdogs:
    """Longest silence in seconds; a dead model process stays READY and says nothing."""

    first_token: float = 30.0
    next_token: float = 10.0


class TritonLanguageModel:
    """Models of one Triton server, over one channel."""

    def __init__(self, server: Triton, watchdogs: Watchdogs, *, admin_key: str = "") -> None:
        """admin_key: opens the model configuration, for the version of the model's files."""
        self._server = server
        self._watchdogs = watchdogs
        self._admin = [("triton-grpc-protocol-gyre-key", admin_key)] if admin_key else []
        self._versions: dict[str, tuple[float, str]] = {}

    async def write(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """See `LanguageModel`."""
        with Operation(request) as operation:
            stream = _Stream(
                self._server.stub.ModelStreamInfer(
                    iter([infer_request(request, operation.traceparent())]),
                    timeout=request.timeout,
                ),
                request.model,
            )
            try:
                async for response in stream.responses(self._watchdogs):
                    said = piece(response)
                    operation.saw(said)
                    yield said
            finally:
                await stream.end()

    async def version(self, model: str) -> str:
        """See `LanguageModel`. Asked once a minute."""
        known = self._versions.get(model)
        if known is None or time.monotonic() - known[0] > _VERSION_LIVES:
            known = self._versions[model] = (time.monotonic(), await self._version(model))
        return known[1]

    async def _version(self, model: str) -> str:
        request = kserve.ModelConfigRequest(name=model.partition("+")[0])
        try:
            reply = await self._server.stub.ModelConfig(request, timeout=2.0, metadata=self._admin)
        except grpc.aio.AioRpcError as error:
            _log.info("model_version_unknown", model=model, status=error.code().name)
            return ""
        if _CONTENT in reply.config.parameters:
            return str(reply.config.parameters[_CONTENT].string_value)
        return hashlib.sha256(reply.config.SerializeToString(deterministic=True)).hexdigest()[:16]


class _Stream:
    """One open stream of responses."""

    def __init__(self, call: Answers, model: str) -> None:
        self._call, self._model = call, model
        self._complete = False

    async def responses(self, watchdogs: Watchdogs) -> AsyncIterator[kserve.ModelInferResponse]:
        """Those with outputs. Raises what the model refused, or the silence."""
        limit = watchdogs.first_token
        while not self._complete:
            response = await self._read(limit)
            if response.outputs:
                yield response
            limit = watchdogs.next_token

    async def end(self) -> None:
        """Triton never unloads a model of which a stream was cancelled between its last response
        and its end: a complete one is read to its end.
        """
        if self._complete:
            with suppress(TimeoutError, grpc.aio.AioRpcError):
                async with asyncio.timeout(_ENDS):
                    await self._call.read()
        self._call.cancel()

    async def _read(self, limit: float) -> kserve.ModelInferResponse:
        try:
            async with asyncio.timeout(limit):
                answer: Any = await self._call.read()  # a reply, or EOF
        except TimeoutError:
            raise silence(self._model, limit) from None
        except grpc.aio.AioRpcError as error:
            _log.warning("model_stream_broke", model=self._model, status=error.code().name)
            raise fault_of_call(self._model, error) from error
        if answer is grpc.aio.EOF:
            raise fault_of_stream(self._model, "the stream ended early")
        self._complete = bool(answer.error_message) or is_last(answer.infer_response)
        if answer.error_message:
            _log.warning("model_refused", model=self._model, reason=answer.error_message[:300])
            raise fault_of_stream(self._model, answer.error_message)
        return cast(kserve.ModelInferResponse, answer.infer_response)
