"""Triton's repository of models: what it has, and what it shall have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
from tritonclient.grpc import service_pb2 as kserve

from gyre_inference.adapters.triton import Triton
from gyre_inference.domain.faults import Conflict, Unavailable

_SHORT = 10.0
_PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


class TritonModelServer:
    """`ModelServer` over the restricted part of one Triton's protocol."""

    def __init__(self, server: Triton, *, admin_key: str = "", loading: float = 600.0) -> None:
        """loading: seconds that one load may take."""
        self._server = server
        self._admin = [("triton-grpc-protocol-gyre-key", admin_key)] if admin_key else []
        self._loading = loading

    async def states(self) -> Mapping[str, str]:
        """See `ModelServer`."""
        async with _told("its models"):
            reply = await self._server.stub.RepositoryIndex(
                kserve.RepositoryIndexRequest(), timeout=_SHORT, metadata=self._admin
            )
        return {model.name: model.state for model in reply.models}

    async def load(self, name: str) -> None:
        """See `ModelServer`."""
        async with _told(name):
            await self._server.stub.RepositoryModelLoad(
                kserve.RepositoryModelLoadRequest(model_name=name),
                timeout=self._loading,
                metadata=self._admin,
            )

    async def unload(self, name: str) -> None:
        """See `ModelServer`."""
        async with _told(name):
            await self._server.stub.RepositoryModelUnload(
                kserve.RepositoryModelUnloadRequest(model_name=name),
                timeout=_SHORT,
                metadata=self._admin,
            )


@asynccontextmanager
async def _told(what: str) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() in _PASSING:
            raise Unavailable("the model server does not answer", retry_after=1.0) from error
        # Its details name paths of its machine: they are for its own log.
        raise Conflict(f"the model server refused {what} ({error.code().name})") from error
