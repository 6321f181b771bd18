"""Sentences embedded by the embedding service with the tenant's key; the last are remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import grpc
from gyre.embedding.v1 import service_pb2 as wire
from gyre.embedding.v1.service_pb2_grpc import EmbeddingServiceStub
from gyre_runtime.rpc import TenantKeys, channel
from gyre_runtime.settings import RuntimeSettings

from gyre_evaluation.ports import ScoringUnavailable

AT_ONCE = 64
LONGEST = 2000
REMEMBERED = 4000


class ServiceSentenceVectors:
    """timeout: seconds for each batch. Opened in the event loop that calls it."""

    def __init__(
        self, address: str, settings: RuntimeSettings, keys: TenantKeys, *, timeout: float
    ) -> None:
        self._address = address
        self._settings = settings
        self._keys = keys
        self._timeout = timeout
        self._known: OrderedDict[str, bytes] = OrderedDict()

    async def __aenter__(self) -> Self:
        self._channel = channel(self._address, self._settings)
        self._stub = EmbeddingServiceStub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def vectors(self, tenant: str, texts: Iterable[str]) -> dict[str, bytes]:
        """Unit vectors, little-endian float32. Texts without a word are left out.

        Raises `ScoringUnavailable`, `NotPossible`.
        """
        wanted = {text for text in texts if text.strip()}
        found = {text: self._known[text] for text in wanted & self._known.keys()}
        new = sorted(wanted - found.keys())
        batches = [new[start : start + AT_ONCE] for start in range(0, len(new), AT_ONCE)]
        for batch in await asyncio.gather(*(self._embed(tenant, one) for one in batches)):
            found |= batch
            self._remember(batch)
        return found

    async def _embed(self, tenant: str, texts: Sequence[str]) -> dict[str, bytes]:
        request = wire.EmbedRequest(texts=[text[:LONGEST] for text in texts])
        try:
            reply = await self._stub.Embed(
                request, metadata=self._keys.metadata(tenant), timeout=self._timeout
            )
        except grpc.aio.AioRpcError as error:
            raise ScoringUnavailable(f"the embedding service: {error.details()}") from error
        vectors = (one.vector for one in reply.embeddings)
        return dict(zip(texts, vectors, strict=True))

    def _remember(self, batch: dict[str, bytes]) -> None:
        self._known |= batch
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
