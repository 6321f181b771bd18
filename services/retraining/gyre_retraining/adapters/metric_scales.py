"""Declared metrics, asked of the feedback service with the tenant's own key."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import grpc
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceStub
from gyre_runtime.rpc import TenantKeys, channel
from gyre_runtime.settings import RuntimeSettings

from gyre_retraining.dataset_ports import AssemblyUnavailable
from gyre_retraining.domain.scales import Scale

TIMEOUT = 60.0
PAGE = 1000


class ServiceMetricScales:
    """`MetricScales` over FeedbackService. Opened in the event loop that calls it."""

    def __init__(self, address: str, settings: RuntimeSettings, keys: TenantKeys) -> None:
        self._address = address
        self._settings = settings
        self._keys = keys

    async def __aenter__(self) -> Self:
        self._channel = channel(self._address, self._settings)
        self._stub = FeedbackServiceStub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def all(self, tenant: str) -> Mapping[str, Scale]:
        metadata, token = self._keys.metadata(tenant), ""
        found: dict[str, Scale] = {}
        while True:
            request = wire.ListMetricsRequest(page_size=PAGE, page_token=token)
            try:
                reply = await self._stub.ListMetrics(request, metadata=metadata, timeout=TIMEOUT)
            except grpc.aio.AioRpcError as error:
                raise AssemblyUnavailable(f"the feedback service: {error.details()}") from error
            found |= {one.name: scale_from(one) for one in reply.metrics}
            token = reply.next_page_token
            if not token:
                return found


def scale_from(metric: pb.Metric) -> Scale:
    """Both bounds 0 mean 0 to 1."""
    bounded = metric.minimum != 0 or metric.maximum != 0
    return Scale(
        more_is_better=metric.direction != pb.METRIC_DIRECTION_LESS_IS_BETTER,
        minimum=metric.minimum if bounded else 0.0,
        maximum=metric.maximum if bounded else 1.0,
        categories=tuple(metric.categories),
        moves=metric.direction != pb.METRIC_DIRECTION_NONE,
    )
