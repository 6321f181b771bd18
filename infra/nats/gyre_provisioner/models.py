"""Models on Triton."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from tritonclient.grpc import service_pb2 as wire
from tritonclient.grpc import service_pb2_grpc

from gyre_provisioner.calls import SECONDS, calling
from gyre_provisioner.part import Difference

READY = "READY"
LOAD_SECONDS = 600.0


class ModelsPart:
    """See `Provisioned`. admin_key: of Triton's restricted calls, where it asks for one."""

    name = "models"

    def __init__(self, channel: grpc.aio.Channel, models: Sequence[str], admin_key: str) -> None:
        self._triton = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._models = models
        self._admin = (("triton-grpc-protocol-gyre-key", admin_key),) if admin_key else ()

    async def differences(self) -> Sequence[Difference]:
        known = await self._known()
        return [
            _difference(name, known.get(name)) for name in self._models if not _ready(known, name)
        ]

    async def repair(self, *, only_missing: bool) -> None:
        known = await self._known()
        for name in self._models:
            if name in known and not _ready(known, name):
                await self._load(name)

    async def _known(self) -> dict[str, wire.RepositoryIndexResponse.ModelIndex]:
        with calling("Triton"):
            reply = await self._triton.RepositoryIndex(
                wire.RepositoryIndexRequest(), timeout=SECONDS, metadata=self._admin
            )
        return {model.name: model for model in reply.models}

    async def _load(self, name: str) -> None:
        """A model that does not load keeps its state, which `differences` then tells with why."""
        with calling("Triton"):
            try:
                await self._triton.RepositoryModelLoad(
                    wire.RepositoryModelLoadRequest(model_name=name),
                    timeout=LOAD_SECONDS,
                    metadata=self._admin,
                )
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED):
                    raise


def _ready(known: dict[str, wire.RepositoryIndexResponse.ModelIndex], name: str) -> bool:
    return name in known and known[name].state == READY


def _difference(name: str, found: wire.RepositoryIndexResponse.ModelIndex | None) -> Difference:
    if found is None:
        return Difference(f"model {name}", "folder", "in the repository", "absent", False)
    if not found.state:
        return Difference(f"model {name}", "state", READY, None)
    return Difference(f"model {name}", "state", READY, f"{found.state} ({found.reason})")
