"""The gRPC door of experiments."""

from __future__ import annotations

from gyre.inference.v1 import service_pb2, service_pb2_grpc

from gyre_inference import wire
from gyre_inference.doors.calls import Context, caller_of, faults_as_status, number_in, page_size
from gyre_inference.use_cases.manage_experiments import ManageExperiments

_READERS = frozenset({"reader", "writer", "operator"})
_WRITERS = frozenset({"writer", "operator"})
ROLES = {
    "StartExperiment": _WRITERS,
    "ListExperiments": _READERS,
    "StopExperiment": _WRITERS,
    "GetExperiment": _READERS,
}


class ExperimentServicer(service_pb2_grpc.ExperimentServiceServicer):
    """One method, one call, one reply."""

    def __init__(self, experiments: ManageExperiments) -> None:
        self._experiments = experiments

    async def StartExperiment(
        self, request: service_pb2.StartExperimentRequest, context: Context
    ) -> service_pb2.StartExperimentResponse:
        """Starts one."""
        caller = caller_of(context)
        with faults_as_status():
            wanted = wire.experiment_of(request.experiment, caller.principal)
            started = await self._experiments.start(caller.tenant, wanted)
        return service_pb2.StartExperimentResponse(experiment=wire.experiment(started))

    async def ListExperiments(
        self, request: service_pb2.ListExperimentsRequest, context: Context
    ) -> service_pb2.ListExperimentsResponse:
        """A page."""
        with faults_as_status():
            size, offset = page_size(request.page_size), number_in(request.page_token, 0)
            found = await self._experiments.list(
                caller_of(context).tenant, request.running, offset, size
            )
        return service_pb2.ListExperimentsResponse(
            experiments=map(wire.experiment, found),
            next_page_token=str(offset + size) if len(found) == size else "",
        )

    async def StopExperiment(
        self, request: service_pb2.StopExperimentRequest, context: Context
    ) -> service_pb2.StopExperimentResponse:
        """Stops one."""
        caller = caller_of(context)
        with faults_as_status():
            stopped = await self._experiments.stop(
                caller.tenant, request.experiment_id, caller.principal
            )
        return service_pb2.StopExperimentResponse(experiment=wire.experiment(stopped))

    async def GetExperiment(
        self, request: service_pb2.GetExperimentRequest, context: Context
    ) -> service_pb2.GetExperimentResponse:
        """One."""
        with faults_as_status():
            found = await self._experiments.get(caller_of(context).tenant, request.experiment_id)
        return service_pb2.GetExperimentResponse(
            experiment=wire.experiment(found.experiment),
            known=None if found.known is None else wire.weighing(found.known),
            weighings=map(wire.weighing, found.weighings),
        )
