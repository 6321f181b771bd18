"""ReplayService."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from gyre.evaluation.v1 import replay_pb2 as wire
from gyre.evaluation.v1 import replay_pb2_grpc, service_pb2
from gyre_runtime.identity import current_principal

from gyre_evaluation.doors.calls import (
    READERS,
    WRITERS,
    Context,
    faults,
    page_of,
    pieces,
    tenant,
)
from gyre_evaluation.use_cases.replays import KeepReplays
from gyre_evaluation.wire.replays import replay_from, replay_to

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["ReplayService"]
ROLES = {
    "StartReplay": WRITERS,
    "GetReplay": READERS,
    "ListReplays": READERS,
    "WatchReplay": READERS,
    "CancelReplay": WRITERS,
    "GetReplayReport": READERS,
}


class ReplayServicer(replay_pb2_grpc.ReplayServiceServicer):
    """Tenant from the credential, never from a field."""

    def __init__(self, replays: KeepReplays) -> None:
        self._replays = replays

    async def StartReplay(
        self, request: wire.StartReplayRequest, context: Context
    ) -> wire.StartReplayResponse:
        with faults():
            replay = replay_from(request, current_principal())
            started = await self._replays.start(replay, request.creation_key)
        return wire.StartReplayResponse(replay=replay_to(started))

    async def GetReplay(
        self, request: wire.GetReplayRequest, context: Context
    ) -> wire.GetReplayResponse:
        with faults():
            found = await self._replays.get(tenant(), request.replay_id)
        return wire.GetReplayResponse(replay=replay_to(found))

    async def ListReplays(
        self, request: wire.ListReplaysRequest, context: Context
    ) -> wire.ListReplaysResponse:
        size = page_of(request.page_size)
        found = await self._replays.page(tenant(), size, request.page_token)
        last = found[-1] if len(found) == size else None
        return wire.ListReplaysResponse(
            replays=map(replay_to, found), next_page_token=last.replay_id if last else ""
        )

    async def WatchReplay(
        self, request: wire.WatchReplayRequest, context: Context
    ) -> AsyncIterator[wire.WatchReplayResponse]:
        with faults():
            async for replay in self._replays.watch(tenant(), request.replay_id):
                yield wire.WatchReplayResponse(replay=replay_to(replay))

    async def CancelReplay(
        self, request: wire.CancelReplayRequest, context: Context
    ) -> wire.CancelReplayResponse:
        with faults():
            replay = await self._replays.cancel(tenant(), request.replay_id)
        return wire.CancelReplayResponse(replay=replay_to(replay))

    async def GetReplayReport(
        self, request: wire.GetReplayReportRequest, context: Context
    ) -> AsyncIterator[wire.GetReplayReportResponse]:
        with faults():
            report = await self._replays.report(tenant(), request.replay_id)
            whole = orjson.dumps(report)
            if request.format == service_pb2.REPORT_FORMAT_HTML:
                whole = await self._replays.page_of(report)
        for piece in pieces(whole):
            yield wire.GetReplayReportResponse(data=piece)
