"""Triton's repository calls: what it has loaded, and what it shall load."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
from tritonclient.grpc import service_pb2 as triton
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from gyre_embedding.ports import ModelUnavailable

_SHORT = 10.0


class TritonModelServer:
    """`ModelServer` over the restricted part of the protocol."""

    def __init__(
        self, channel: grpc.aio.Channel, *, admin_key: str = "", loading: float = 300.0
    ) -> None:
        """loading: seconds that one load may take."""
        self._stub = GRPCInferenceServiceStub(channel)
        self._admin = [("triton-grpc-protocol-gyre-key", admin_key)] if admin_key else []
        self._loading = loading

    async def states(self) -> Mapping[str, str]:
        request = triton.RepositoryIndexRequest()
        async with _told("say what it has loaded"):
            reply = await self._stub.RepositoryIndex(request, timeout=_SHORT, metadata=self._admin)
        return {model.name: model.state for model in reply.models}

    async def load(self, name: str) -> None:
        request = triton.RepositoryModelLoadRequest(model_name=name)
        async with _told(f"load {name!r}"):
            await self._stub.RepositoryModelLoad(
                request, timeout=self._loading, metadata=self._admin
            )

    async def unload(self, name: str) -> None:
        request = triton.RepositoryModelUnloadRequest(model_name=name)
        async with _told(f"unload {name!r}"):
            await self._stub.RepositoryModelUnload(request, timeout=_SHORT, metadata=self._admin)


@asynccontextmanager
async def _told(what: str) -> AsyncIterator[None]:
    """Its details name paths of its machine: they are for its own log."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise ModelUnavailable(f"the model server did not {what} ({error.code().name})") from error
