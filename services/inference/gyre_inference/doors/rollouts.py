"""The gRPC door of rollouts."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gyre.inference.v1 import service_pb2, service_pb2_grpc

from gyre_inference import wire
from gyre_inference.domain.rollouts import Plan
from gyre_inference.doors.calls import Context, caller_of, faults_as_status, number_in, page_size
from gyre_inference.use_cases.rollouts.managing import ManageRollouts

_READERS = frozenset({"reader", "writer", "operator"})
_WRITERS = frozenset({"writer", "operator"})
ROLES = {
    "StartRollout": _WRITERS,
    "GetRollout": _READERS,
    "ListRollouts": _READERS,
    "WatchRollout": _READERS,
    "PromoteRollout": _WRITERS,
    "AbortRollout": _WRITERS,
}


class RolloutServicer(service_pb2_grpc.RolloutServiceServicer):
    """One method, one call, one reply. defaults: of what a plan leaves open."""

    def __init__(self, rollouts: ManageRollouts, defaults: Plan) -> None:
        self._rollouts = rollouts
        self._defaults = defaults

    async def StartRollout(
        self, request: service_pb2.StartRolloutRequest, context: Context
    ) -> service_pb2.StartRolloutResponse:
        """Starts one."""
        caller = caller_of(context)
        with faults_as_status():
            wanted = wire.wanted_of(request, self._defaults)
            started = await self._rollouts.start(caller.tenant, wanted, caller.principal)
        return service_pb2.StartRolloutResponse(rollout=wire.rollout(started))

    async def GetRollout(
        self, request: service_pb2.GetRolloutRequest, context: Context
    ) -> service_pb2.GetRolloutResponse:
        """One."""
        with faults_as_status():
            known = await self._rollouts.get(caller_of(context).tenant, request.rollout_id)
        return service_pb2.GetRolloutResponse(rollout=wire.rollout(known.rollout, known.evidence))

    async def ListRollouts(
        self, request: service_pb2.ListRolloutsRequest, context: Context
    ) -> service_pb2.ListRolloutsResponse:
        """A page."""
        with faults_as_status():
            size, offset = page_size(request.page_size), number_in(request.page_token, 0)
            tenant = caller_of(context).tenant
            found = await self._rollouts.list(tenant, request.running, offset, size)
        return service_pb2.ListRolloutsResponse(
            rollouts=map(wire.rollout, found),
            next_page_token=str(offset + size) if len(found) == size else "",
        )

    async def WatchRollout(
        self, request: service_pb2.WatchRolloutRequest, context: Context
    ) -> AsyncIterator[service_pb2.WatchRolloutResponse]:
        """Until it is over."""
        with faults_as_status():
            tenant = caller_of(context).tenant
            async for known in self._rollouts.watch(tenant, request.rollout_id):
                told = wire.rollout(known.rollout, known.evidence)
                yield service_pb2.WatchRolloutResponse(rollout=told)

    async def PromoteRollout(
        self, request: service_pb2.PromoteRolloutRequest, context: Context
    ) -> service_pb2.PromoteRolloutResponse:
        """One step, or to everybody."""
        caller = caller_of(context)
        with faults_as_status():
            promoted = await self._rollouts.promote(
                caller.tenant,
                request.rollout_id,
                caller.principal,
                request.reason,
                fully=request.fully,
            )
        return service_pb2.PromoteRolloutResponse(rollout=wire.rollout(promoted))

    async def AbortRollout(
        self, request: service_pb2.AbortRolloutRequest, context: Context
    ) -> service_pb2.AbortRolloutResponse:
        """Back."""
        caller = caller_of(context)
        with faults_as_status():
            aborted = await self._rollouts.abort(
                caller.tenant, request.rollout_id, caller.principal, request.reason
            )
        return service_pb2.AbortRolloutResponse(rollout=wire.rollout(aborted))
