"""Experiments: start, look at, list, stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from gyre.inference.v1 import experiment_pb2, service_pb2
from gyre.inference.v1.service_pb2_grpc import ExperimentServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import InvalidError, raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.inference.v1.service_pb2_grpc import ExperimentServiceAsyncStub

Experiment = Mapping[str, Any]
"""Fields by the names of `gyre.inference.v1.Experiment`."""

KnownExperiment = Mapping[str, Any]
"""Fields by the names of `gyre.inference.v1.GetExperimentResponse`."""


class Experiments:
    """The caller's experiments. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.inference_address
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        self._stub: ExperimentServiceAsyncStub = ExperimentServiceStub(channels.to(self._address))

    async def start(self, experiment: Experiment) -> Experiment:
        """Repeated with the same content it changes nothing."""
        request = service_pb2.StartExperimentRequest(experiment=_message(experiment))
        with raising(self._address):
            reply = await self._stub.StartExperiment(request, **self._call)
        return _read(reply.experiment)

    async def get(self, experiment_id: str) -> KnownExperiment:
        """With what is known of its variants, and their shares over time."""
        request = service_pb2.GetExperimentRequest(experiment_id=experiment_id)
        with raising(self._address):
            reply = await self._stub.GetExperiment(request, **self._call)
        return MessageToDict(reply, preserving_proto_field_name=True)

    async def list(self, *, running: bool = False) -> AsyncIterator[Experiment]:
        """Newest first."""
        request = service_pb2.ListExperimentsRequest(running=running, page_size=200)
        while True:
            with raising(self._address):
                reply = await self._stub.ListExperiments(request, **self._call)
            for message in reply.experiments:
                yield _read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def stop(self, experiment_id: str) -> Experiment:
        """May be repeated."""
        request = service_pb2.StopExperimentRequest(experiment_id=experiment_id)
        with raising(self._address):
            reply = await self._stub.StopExperiment(request, **self._call)
        return _read(reply.experiment)


def _message(experiment: Experiment) -> experiment_pb2.Experiment:
    try:
        return ParseDict(dict(experiment), experiment_pb2.Experiment())
    except ParseError as error:
        raise InvalidError("INVALID_ARGUMENT", f"not an experiment: {error}") from error


def _read(message: experiment_pb2.Experiment) -> Experiment:
    return MessageToDict(message, preserving_proto_field_name=True)
