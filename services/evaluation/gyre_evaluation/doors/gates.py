"""GateService."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from gyre.evaluation.v1 import gate_pb2 as wire
from gyre.evaluation.v1 import gate_pb2_grpc, service_pb2
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
from gyre_evaluation.use_cases.gates import KeepGates
from gyre_evaluation.wire.gates import declared_from, declared_to, gate_from, gate_to

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["GateService"]
OPERATORS = frozenset({"operator"})
ROLES = {
    "DeclareGatePolicy": OPERATORS,
    "GetGatePolicy": READERS,
    "StartGate": WRITERS,
    "GetGate": READERS,
    "ListGates": READERS,
    "WatchGate": READERS,
    "CancelGate": WRITERS,
    "ApproveGate": OPERATORS,
    "GetGateReport": READERS,
}


class GateServicer(gate_pb2_grpc.GateServiceServicer):
    """Tenant from the credential, never from a field."""

    def __init__(self, gates: KeepGates) -> None:
        self._gates = gates

    async def DeclareGatePolicy(
        self, request: wire.DeclareGatePolicyRequest, context: Context
    ) -> wire.DeclareGatePolicyResponse:
        with faults():
            declared = declared_from(request.yaml, current_principal())
            kept, is_new = await self._gates.declare(declared, dry_run=request.dry_run)
        return wire.DeclareGatePolicyResponse(policy=declared_to(kept), is_new=is_new)

    async def GetGatePolicy(
        self, request: wire.GetGatePolicyRequest, context: Context
    ) -> wire.GetGatePolicyResponse:
        with faults():
            found = await self._gates.policy(tenant(), request.workload, request.version)
        return wire.GetGatePolicyResponse(policy=declared_to(found))

    async def StartGate(
        self, request: wire.StartGateRequest, context: Context
    ) -> wire.StartGateResponse:
        caller = current_principal()
        with faults():
            started = await self._gates.start(
                caller.tenant,
                request.workload,
                lambda declared: gate_from(request, caller, declared),
                request.creation_key,
            )
        return wire.StartGateResponse(gate=gate_to(started))

    async def GetGate(self, request: wire.GetGateRequest, context: Context) -> wire.GetGateResponse:
        with faults():
            found = await self._gates.get(tenant(), request.gate_id)
        return wire.GetGateResponse(gate=gate_to(found))

    async def ListGates(
        self, request: wire.ListGatesRequest, context: Context
    ) -> wire.ListGatesResponse:
        size = page_of(request.page_size)
        found = await self._gates.page(tenant(), request.workload, size, request.page_token)
        last = found[-1] if len(found) == size else None
        return wire.ListGatesResponse(
            gates=[gate_to(one, checks=False) for one in found],
            next_page_token=last.gate_id if last else "",
        )

    async def WatchGate(
        self, request: wire.WatchGateRequest, context: Context
    ) -> AsyncIterator[wire.WatchGateResponse]:
        with faults():
            async for gate in self._gates.watch(tenant(), request.gate_id):
                yield wire.WatchGateResponse(gate=gate_to(gate))

    async def CancelGate(
        self, request: wire.CancelGateRequest, context: Context
    ) -> wire.CancelGateResponse:
        with faults():
            gate = await self._gates.cancel(tenant(), request.gate_id)
        return wire.CancelGateResponse(gate=gate_to(gate))

    async def ApproveGate(
        self, request: wire.ApproveGateRequest, context: Context
    ) -> wire.ApproveGateResponse:
        who = current_principal()
        with faults():
            gate = await self._gates.approve(
                who.tenant,
                request.gate_id,
                who.name,
                granted=request.granted,
                reason=request.reason,
            )
        return wire.ApproveGateResponse(gate=gate_to(gate))

    async def GetGateReport(
        self, request: wire.GetGateReportRequest, context: Context
    ) -> AsyncIterator[wire.GetGateReportResponse]:
        with faults():
            report = await self._gates.report(tenant(), request.gate_id)
            whole = orjson.dumps(report)
            if request.format == service_pb2.REPORT_FORMAT_HTML:
                whole = await self._gates.page_of(report)
        for piece in pieces(whole):
            yield wire.GetGateReportResponse(data=piece)
