"""The gRPC door of chains' versions and runs."""

from __future__ import annotations

from gyre.inference.v1 import service_pb2, service_pb2_grpc

from gyre_inference import wire
from gyre_inference.doors.calls import Context, caller_of, faults_as_status, number_in, page_size
from gyre_inference.use_cases.manage_chains import ManageChains
from gyre_inference.use_cases.run_chain import RunChain
from gyre_inference.use_cases.shelving import Promotion

_READERS = frozenset({"reader", "writer", "operator"})
_WRITERS = frozenset({"writer", "operator"})
ROLES = {
    "RegisterChain": _WRITERS,
    "GetChain": _READERS,
    "ListChains": _READERS,
    "PromoteChain": _WRITERS,
    "GetChainRun": _READERS,
}
_NEWEST = 2**31


class ChainServicer(service_pb2_grpc.ChainServiceServicer):
    """One method, one call, one reply."""

    def __init__(self, chains: ManageChains, runs: RunChain) -> None:
        self._chains = chains
        self._runs = runs

    async def RegisterChain(
        self, request: service_pb2.RegisterChainRequest, context: Context
    ) -> service_pb2.RegisterChainResponse:
        """Keeps a version."""
        caller = caller_of(context)
        with faults_as_status():
            name, draft = self._chains.draft(
                request.definition, request.message, caller.principal, tuple(request.labels)
            )
            outcome = await self._chains.versions.register(
                caller.tenant, name, draft, dry_run=request.dry_run
            )
        return service_pb2.RegisterChainResponse(
            version=wire.chain_version(outcome.registered.version, outcome.labels),
            is_new=outcome.registered.is_new,
            diff=outcome.difference,
            moves=map(wire.label_move, outcome.registered.moves),
        )

    async def GetChain(
        self, request: service_pb2.GetChainRequest, context: Context
    ) -> service_pb2.GetChainResponse:
        """One version."""
        with faults_as_status():
            shown, moves = await self._chains.versions.get(
                caller_of(context).tenant, request.name, request.version
            )
        return service_pb2.GetChainResponse(
            version=wire.chain_version(shown.version, shown.labels),
            moves=map(wire.label_move, moves),
        )

    async def ListChains(
        self, request: service_pb2.ListChainsRequest, context: Context
    ) -> service_pb2.ListChainsResponse:
        """A page."""
        tenant, versions = caller_of(context).tenant, self._chains.versions
        with faults_as_status():
            size, token = page_size(request.page_size), request.page_token
            if request.name:
                below = number_in(token, _NEWEST)
                found = await versions.history(tenant, request.name, below, size)
            else:
                found = list(await versions.list(tenant, token, size))
        following = ""
        if len(found) == size:
            last = found[-1].version
            following = str(last.number) if request.name else last.key.name
        return service_pb2.ListChainsResponse(
            chains=[wire.chain_version(one.version, one.labels, whole=False) for one in found],
            next_page_token=following,
        )

    async def PromoteChain(
        self, request: service_pb2.PromoteChainRequest, context: Context
    ) -> service_pb2.PromoteChainResponse:
        """Moves a label."""
        caller = caller_of(context)
        promotion = Promotion(
            request.version,
            request.label,
            request.message,
            caller.principal,
            request.expected_version,
        )
        with faults_as_status():
            shown, move = await self._chains.versions.promote(
                caller.tenant, request.name, promotion
            )
        return service_pb2.PromoteChainResponse(
            version=wire.chain_version(shown.version, shown.labels),
            move=wire.label_move(move) if move else None,
        )

    async def GetChainRun(
        self, request: service_pb2.GetChainRunRequest, context: Context
    ) -> service_pb2.GetChainRunResponse:
        """What was recorded of a run."""
        with faults_as_status():
            run = await self._runs.get(caller_of(context).tenant, request.chain_run_id)
        return service_pb2.GetChainRunResponse(run=wire.chain_run(run))
