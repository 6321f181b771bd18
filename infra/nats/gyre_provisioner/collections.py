"""Collections, which the retrieval service keeps in Milvus."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from gyre.retrieval.v1 import service_pb2 as retrieval
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub

from gyre_provisioner.calls import SECONDS, calling
from gyre_provisioner.part import Difference


class CollectionsPart:
    """See `Provisioned`. api_key: whose tenant the collections belong to.

    Their indexes are the retrieval service's own: it makes them for the embedder of the first part.
    """

    name = "collections"

    def __init__(self, channel: grpc.aio.Channel, names: Sequence[str], api_key: str) -> None:
        self._retrieval = RetrievalServiceStub(channel)
        self._names = names
        self._credential = (("authorization", f"Bearer {api_key}"),)

    async def differences(self) -> Sequence[Difference]:
        with calling("retrieval"):
            reply = await self._retrieval.ListCollections(
                retrieval.ListCollectionsRequest(), timeout=SECONDS, metadata=self._credential
            )
        found = {collection.name for collection in reply.collections}
        return [
            Difference(f"collection {name}", "", "", None)
            for name in self._names
            if name not in found
        ]

    async def repair(self, *, only_missing: bool) -> None:
        for name in self._names:
            with calling("retrieval"):
                await self._retrieval.CreateCollection(
                    retrieval.CreateCollectionRequest(collection=name),
                    timeout=SECONDS,
                    metadata=self._credential,
                )
