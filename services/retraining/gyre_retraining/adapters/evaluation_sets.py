"""Evaluation sets, asked of the evaluation service with the tenant's own key."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from gyre.evaluation.v1 import service_pb2 as wire
from gyre.evaluation.v1.service_pb2_grpc import EvaluationServiceStub
from gyre_runtime.rpc import TenantKeys, channel
from gyre_runtime.settings import RuntimeSettings

from gyre_retraining.dataset_ports import AssemblyUnavailable, SetVersion
from gyre_retraining.domain.decontamination import EvaluationSet

TIMEOUT = 60.0
PAGE = 500
EXAMPLES = 50
"""At a time: one may have passages of some megabytes together."""
TRAIN = "train"
Metadata = tuple[tuple[str, str], ...]


class ServiceEvaluationSets:
    """`EvaluationSets` over EvaluationService. Opened in the event loop that calls it."""

    def __init__(self, address: str, settings: RuntimeSettings, keys: TenantKeys) -> None:
        self._address = address
        self._settings = settings
        self._keys = keys

    async def __aenter__(self) -> Self:
        self._channel = channel(self._address, self._settings)
        self._stub = EvaluationServiceStub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def all(self, tenant: str) -> list[EvaluationSet]:
        metadata, token = self._keys.metadata(tenant), ""
        found: list[EvaluationSet] = []
        while True:
            request = wire.ListDatasetsRequest(page_size=PAGE, page_token=token)
            reply = await self._call(self._stub.ListDatasets, request, metadata)
            found += [await self._read(one, metadata) for one in reply.datasets if one.examples]
            token = reply.next_page_token
            if not token:
                return sorted(found, key=lambda one: (one.name, one.version))

    async def named(self, tenant: str, versions: Sequence[SetVersion]) -> list[EvaluationSet]:
        metadata = self._keys.metadata(tenant)
        found = []
        for name, version in sorted(versions):
            request = wire.GetDatasetRequest(name=name, version=version)
            reply = await self._call(self._stub.GetDataset, request, metadata)
            found.append(await self._read(reply.dataset, metadata))
        return found

    async def _read(self, dataset: wire.Dataset, metadata: Metadata) -> EvaluationSet:
        questions, references = set[str](), set[str]()
        token = ""
        while True:
            request = wire.ListExamplesRequest(
                name=dataset.name, version=dataset.version, page_size=EXAMPLES, page_token=token
            )
            reply = await self._call(self._stub.ListExamples, request, metadata)
            for one in reply.examples:
                if one.split != TRAIN:
                    questions.add(one.question)
                    references.update(one.references)
            token = reply.next_page_token
            if not token:
                return EvaluationSet(
                    name=dataset.name,
                    version=dataset.version,
                    content_hash=dataset.content_hash,
                    questions=tuple(sorted(questions)),
                    references=tuple(sorted(references)),
                )

    async def _call(self, method: Any, request: Any, metadata: Metadata) -> Any:
        try:
            return await method(request, metadata=metadata, timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise AssemblyUnavailable(f"the evaluation service: {error.details()}") from error
