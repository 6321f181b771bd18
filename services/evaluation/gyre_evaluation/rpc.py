"""The gRPC door: one method, one call, one reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import grpc
import orjson
from gyre.evaluation.v1 import service_pb2 as wire
from gyre.evaluation.v1 import service_pb2_grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault

from gyre_evaluation.domain.datasets import SplitPlan
from gyre_evaluation.domain.metrics.metric import Metric
from gyre_evaluation.doors.calls import (
    READERS,
    WRITERS,
    Context,
    faults,
    invalid,
    page_of,
    pieces,
    tenant,
)
from gyre_evaluation.use_cases.browsing import BrowseLive, UnknownAlert, UnknownTraffic
from gyre_evaluation.use_cases.comparing import CompareRuns
from gyre_evaluation.use_cases.datasets import KeepDatasets
from gyre_evaluation.use_cases.runs import StartRuns
from gyre_evaluation.wire import live_replies
from gyre_evaluation.wire.datasets import (
    dataset_to,
    example_from,
    example_to,
)
from gyre_evaluation.wire.requests import opening_from, run_from
from gyre_evaluation.wire.runs import run_to
from gyre_evaluation.wire.scores import difference_to, metric_to

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["EvaluationService"]
ROLES = {
    "CreateDataset": WRITERS,
    "AddExamples": WRITERS,
    "SealDataset": WRITERS,
    "GetDataset": READERS,
    "ListDatasets": READERS,
    "ListExamples": READERS,
    "StartRun": WRITERS,
    "GetRun": READERS,
    "WatchRun": READERS,
    "CancelRun": WRITERS,
    "ListRuns": READERS,
    "CompareRuns": READERS,
    "GetReport": READERS,
    "ListMetrics": READERS,
    "SummarizeWindows": READERS,
    "ListAlerts": READERS,
    "AcknowledgeAlert": WRITERS,
    "ListTraffic": READERS,
    "ResetReference": WRITERS,
}
LONGEST_COMMENT = 4096


@dataclass(frozen=True, slots=True)
class Offline:
    """The stories of datasets and runs."""

    datasets: KeepDatasets
    runs: StartRuns
    comparing: CompareRuns


class EvaluationServicer(service_pb2_grpc.EvaluationServiceServicer):
    """Tenant from the credential, never from a field."""

    def __init__(self, metrics: Sequence[Metric], live: BrowseLive, offline: Offline) -> None:
        self._metrics = metrics
        self._live = live
        self._offline = offline

    async def ListMetrics(
        self, request: wire.ListMetricsRequest, context: Context
    ) -> wire.ListMetricsResponse:
        named = sorted(self._metrics, key=lambda metric: metric.name)
        return wire.ListMetricsResponse(metrics=map(metric_to, named))

    async def CreateDataset(
        self, request: wire.CreateDatasetRequest, context: Context
    ) -> wire.CreateDatasetResponse:
        with faults():
            made = await self._offline.datasets.open(
                tenant(), opening_from(request, current_principal())
            )
        return wire.CreateDatasetResponse(dataset=dataset_to(made))

    async def AddExamples(
        self, request: wire.AddExamplesRequest, context: Context
    ) -> wire.AddExamplesResponse:
        with faults():
            ids, added = await self._offline.datasets.add(
                tenant(), request.name, request.version, list(map(example_from, request.examples))
            )
        return wire.AddExamplesResponse(example_ids=ids, added=added)

    async def SealDataset(
        self, request: wire.SealDatasetRequest, context: Context
    ) -> wire.SealDatasetResponse:
        with faults():
            plan = SplitPlan(dict(request.shares), request.stratify_by, request.seed)
            sealed = await self._offline.datasets.seal(
                tenant(), request.name, request.version, plan
            )
        return wire.SealDatasetResponse(dataset=dataset_to(sealed))

    async def GetDataset(
        self, request: wire.GetDatasetRequest, context: Context
    ) -> wire.GetDatasetResponse:
        with faults():
            found = await self._offline.datasets.get(tenant(), request.name, request.version)
        return wire.GetDatasetResponse(dataset=dataset_to(found))

    async def ListDatasets(
        self, request: wire.ListDatasetsRequest, context: Context
    ) -> wire.ListDatasetsResponse:
        size = page_of(request.page_size)
        found = await self._offline.datasets.page(
            tenant(), request.name, size, _dataset_seen(request.page_token)
        )
        last = found[-1] if len(found) == size else None
        return wire.ListDatasetsResponse(
            datasets=map(dataset_to, found),
            next_page_token=f"{last.name}@{last.version}" if last else "",
        )

    async def ListExamples(
        self, request: wire.ListExamplesRequest, context: Context
    ) -> wire.ListExamplesResponse:
        size = page_of(request.page_size)
        with faults():
            found = await self._offline.datasets.examples(
                tenant(), request.name, request.version, request.split, size, request.page_token
            )
        last = found[-1] if len(found) == size else None
        return wire.ListExamplesResponse(
            examples=map(example_to, found), next_page_token=last.example_id if last else ""
        )

    async def StartRun(
        self, request: wire.StartRunRequest, context: Context
    ) -> wire.StartRunResponse:
        with faults():
            started = await self._offline.runs.start(
                run_from(request, current_principal()), request.creation_key
            )
        return wire.StartRunResponse(run=run_to(started))

    async def GetRun(self, request: wire.GetRunRequest, context: Context) -> wire.GetRunResponse:
        with faults():
            found = await self._offline.runs.get(tenant(), request.run_id)
        return wire.GetRunResponse(run=run_to(found))

    async def WatchRun(
        self, request: wire.WatchRunRequest, context: Context
    ) -> AsyncIterator[wire.WatchRunResponse]:
        with faults():
            async for run in self._offline.runs.watch(tenant(), request.run_id):
                yield wire.WatchRunResponse(run=run_to(run))

    async def CancelRun(
        self, request: wire.CancelRunRequest, context: Context
    ) -> wire.CancelRunResponse:
        with faults():
            run = await self._offline.runs.cancel(tenant(), request.run_id)
        return wire.CancelRunResponse(run=run_to(run))

    async def ListRuns(
        self, request: wire.ListRunsRequest, context: Context
    ) -> wire.ListRunsResponse:
        size = page_of(request.page_size)
        found = await self._offline.runs.page(tenant(), request.dataset, size, request.page_token)
        last = found[-1] if len(found) == size else None
        return wire.ListRunsResponse(
            runs=map(run_to, found), next_page_token=last.run_id if last else ""
        )

    async def CompareRuns(
        self, request: wire.CompareRunsRequest, context: Context
    ) -> wire.CompareRunsResponse:
        with faults():
            compared = await self._offline.comparing.compare(
                tenant(), list(request.run_ids), list(request.metrics), request.margin
            )
        baseline, *candidates = compared.runs
        return wire.CompareRunsResponse(
            baseline=run_to(baseline),
            comparisons=[
                wire.RunComparison(
                    run=run_to(one),
                    differences=map(difference_to, compared.differences[one.run_id]),
                )
                for one in candidates
            ],
        )

    async def GetReport(
        self, request: wire.GetReportRequest, context: Context
    ) -> AsyncIterator[wire.GetReportResponse]:
        if not request.run_ids:
            raise invalid("run_ids", "give at least one")
        comparing = self._offline.comparing
        with faults():
            report = await comparing.report(tenant(), list(request.run_ids))
            whole = orjson.dumps(report)
            if request.format == wire.REPORT_FORMAT_HTML:
                whole = await comparing.page(report)
        for piece in pieces(whole):
            yield wire.GetReportResponse(data=piece)

    async def SummarizeWindows(
        self, request: wire.SummarizeWindowsRequest, context: Context
    ) -> wire.SummarizeWindowsResponse:
        size, skipped = page_of(request.page_size), _skipped(request.page_token)
        if len(request.group_by) > 1:
            raise invalid("group_by", "give at most one")
        period = _time(request, "start_time"), _time(request, "end_time")
        group_by = request.group_by[0] if request.group_by else ""
        found = await self._live.windows(tenant(), period, group_by, request.metrics)
        known = {metric.name: metric for metric in self._metrics}
        end = skipped + size
        return wire.SummarizeWindowsResponse(
            windows=[live_replies.window(one, known) for one in found[skipped:end]],
            next_page_token=str(end) if end < len(found) else "",
        )

    async def ListAlerts(
        self, request: wire.ListAlertsRequest, context: Context
    ) -> wire.ListAlertsResponse:
        size = page_of(request.page_size)
        try:
            before = live_replies.place_of(request.page_token)
        except (ValueError, TypeError) as error:
            raise invalid("page_token", "take it from the answer before") from error
        found = await self._live.alerts(tenant(), size, before=before, open_only=request.open_only)
        return wire.ListAlertsResponse(
            alerts=map(live_replies.alert, found),
            next_page_token=live_replies.page_token(found, size),
        )

    async def AcknowledgeAlert(
        self, request: wire.AcknowledgeAlertRequest, context: Context
    ) -> wire.AcknowledgeAlertResponse:
        who = current_principal()
        if len(request.comment) > LONGEST_COMMENT:
            raise invalid("comment", f"at most {LONGEST_COMMENT} characters")
        try:
            known = await self._live.acknowledge(
                who.tenant, who.name, request.alert_id, request.comment
            )
        except UnknownAlert as error:
            raise RpcFault(grpc.StatusCode.NOT_FOUND, "there is no such alert") from error
        return wire.AcknowledgeAlertResponse(alert=live_replies.alert(known))

    async def ListTraffic(
        self, request: wire.ListTrafficRequest, context: Context
    ) -> wire.ListTrafficResponse:
        windows = min(request.windows or 10, 100)
        found = await self._live.traffic(tenant(), request.scope, windows)
        return wire.ListTrafficResponse(
            traffic=[live_replies.traffic(one, self._live.plan) for one in found]
        )

    async def ResetReference(
        self, request: wire.ResetReferenceRequest, context: Context
    ) -> wire.ResetReferenceResponse:
        try:
            await self._live.reset_reference(tenant(), request.scope)
        except UnknownTraffic as error:
            detail = f"no answers of '{error}' were seen: `gyre drift list` names the traffic"
            raise RpcFault(grpc.StatusCode.NOT_FOUND, detail) from error
        return wire.ResetReferenceResponse()


def _dataset_seen(token: str) -> tuple[str, int] | None:
    name, _, version = token.rpartition("@")
    if token and not (name and version.isdecimal()):
        raise invalid("page_token", "take it from the answer before")
    return (name, int(version)) if token else None


def _skipped(token: str) -> int:
    if token and not token.isdecimal():
        raise invalid("page_token", "take it from the answer before")
    return int(token or 0)


def _time(
    request: wire.SummarizeWindowsRequest, name: Literal["start_time", "end_time"]
) -> datetime | None:
    """None where it is absent."""
    return getattr(request, name).ToDatetime(UTC) if request.HasField(name) else None
