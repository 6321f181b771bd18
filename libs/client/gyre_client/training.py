"""Trainings, versions of models, and what came from what."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.retraining.v1 import service_pb2, training_pb2
from gyre.retraining.v1.service_pb2_grpc import RetrainingServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import TimedOutError, raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.retraining.v1.service_pb2_grpc import RetrainingServiceAsyncStub

WATCH_TIMEOUT = 3600.0
PAGE = 200
ENDED = frozenset({"succeeded", "failed", "cancelled"})
Direction = Literal["back", "forward"]


@dataclass(frozen=True)
class Training:
    """state: requested, assembling, running, registering, succeeded, failed or cancelled. reason: a
    word, where it failed. trigger: person, judgements, drift or schedule. loss: None until there is
    one."""

    training_id: str
    recipe: str
    recipe_hash: str
    kind: str
    trigger: str
    cause: str
    why: str
    by: str
    state: str
    reason: str
    detail: str
    dataset_id: str
    base_model: str
    model: str
    step: int
    steps: int
    loss: float | None
    metrics: Mapping[str, float]
    attempts: int
    peak_memory_bytes: int
    request_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    tracking_run_id: str

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @classmethod
    def read(cls, message: training_pb2.Training) -> Self:
        state = training_pb2.TrainingState.Name(message.state)
        trigger = training_pb2.TriggerKind.Name(message.trigger.kind)
        return cls(
            training_id=message.training_id,
            recipe=message.recipe,
            recipe_hash=message.recipe_hash,
            kind=_kind(message.kind),
            trigger=trigger.removeprefix("TRIGGER_KIND_").lower(),
            cause=message.trigger.cause,
            why=message.trigger.reason,
            by=message.trigger.by,
            state=state.removeprefix("TRAINING_STATE_").lower(),
            reason=message.reason,
            detail=message.detail,
            dataset_id=message.dataset_id,
            base_model=message.base_model,
            model=message.model,
            step=message.step,
            steps=message.steps,
            loss=message.loss if message.step else None,
            metrics=dict(message.metrics),
            attempts=message.attempts,
            peak_memory_bytes=message.peak_memory_bytes,
            request_time=_time(message, "request_time"),
            start_time=_time(message, "start_time"),
            end_time=_time(message, "end_time"),
            tracking_run_id=message.tracking_run_id,
        )


@dataclass(frozen=True)
class Recipe:
    """yaml: all of it. form: what rows it needs."""

    name: str
    description: str
    kind: str
    form: str
    method: str
    yaml: str


@dataclass(frozen=True)
class TrainingDataset:
    """rows: by split. filters: what was left out, and by which one."""

    dataset_id: str
    form: str
    rows: Mapping[str, int]
    filters: Mapping[str, int]
    slices: Mapping[str, int]
    as_of: datetime | None
    uri: str
    create_time: datetime | None


@dataclass(frozen=True)
class ModelFile:
    """path: inside of the model's folder."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Model:
    """A version in the registry. card, files: of one that was asked for by name."""

    name: str
    version: int
    kind: str
    aliases: tuple[str, ...]
    training_id: str
    dataset_id: str
    base_model: str
    uri: str
    content_hash: str
    metrics: Mapping[str, float]
    register_time: datetime | None
    files: tuple[ModelFile, ...] = ()
    card: str = ""

    @classmethod
    def read(cls, message: training_pb2.Model) -> Self:
        return cls(
            name=message.name,
            version=message.version,
            kind=_kind(message.kind),
            aliases=tuple(message.aliases),
            training_id=message.training_id,
            dataset_id=message.dataset_id,
            base_model=message.base_model,
            uri=message.uri,
            content_hash=message.content_hash,
            metrics=dict(message.metrics),
            register_time=_time(message, "register_time"),
            files=tuple(ModelFile(one.path, one.sha256, one.size_bytes) for one in message.files),
            card=message.card,
        )


@dataclass(frozen=True)
class LineageNode:
    """A thing. kind: answer, model, training, dataset, judgement, document, user, ..."""

    kind: str
    id: str
    label: str
    time: datetime | None


@dataclass(frozen=True)
class LineageEdge:
    """Places in `nodes`: `later` came from `earlier`."""

    later: int
    earlier: int
    relation: str


@dataclass(frozen=True)
class Lineage:
    """nodes: the thing that was asked for is first. truncated: the limit cut it."""

    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...] = field(default=())
    truncated: bool = False


class TrainingClient:
    """The caller's trainings and models. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.retraining_address
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        self._stub: RetrainingServiceAsyncStub = RetrainingServiceStub(channels.to(self._address))

    async def start(
        self,
        recipe: str,
        *,
        reason: str = "",
        overrides: Mapping[str, str] | None = None,
        dataset_id: str = "",
        request_id: str = "",
    ) -> Training:
        """Wants a training; `watch` tells how far it is. The same request_id is the same training.

        overrides: values of the recipe by their path, e.g. `{"training.epochs": "2"}`.
        """
        request = service_pb2.StartTrainingRequest(
            recipe=recipe,
            request_id=request_id or str(uuid.uuid4()),
            reason=reason,
            overrides=overrides or {},
            dataset_id=dataset_id,
        )
        with raising(self._address):
            reply = await self._stub.StartTraining(request, **self._call)
        return Training.read(reply.training)

    async def get(self, training_id: str) -> Training:
        request = service_pb2.GetTrainingRequest(training_id=training_id)
        with raising(self._address):
            reply = await self._stub.GetTraining(request, **self._call)
        return Training.read(reply.training)

    async def list(self, recipe: str = "") -> AsyncIterator[Training]:
        """Newest first. recipe: empty means all."""
        request = service_pb2.ListTrainingsRequest(recipe=recipe, page_size=PAGE)
        while True:
            with raising(self._address):
                reply = await self._stub.ListTrainings(request, **self._call)
            for message in reply.trainings:
                yield Training.read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def watch(self, training_id: str) -> AsyncIterator[Training]:
        """The training now and after each change, until it ended, however long that takes."""
        ended = False
        while not ended:
            try:
                async for training in self._watched(training_id):
                    yield training
                    ended = training.ended
            except TimedOutError:  # a stream has a longest time, a training has none
                continue

    async def _watched(self, training_id: str) -> AsyncIterator[Training]:
        request = service_pb2.WatchTrainingRequest(training_id=training_id)
        options = CallOptions(metadata=self._call["metadata"], timeout=WATCH_TIMEOUT)
        with raising(self._address):
            async for reply in self._stub.WatchTraining(request, **options):
                yield Training.read(reply.training)

    async def cancel(self, training_id: str, reason: str = "") -> Training:
        """Its job may need a moment to end. One that has ended stays as it is."""
        request = service_pb2.CancelTrainingRequest(training_id=training_id, reason=reason)
        with raising(self._address):
            reply = await self._stub.CancelTraining(request, **self._call)
        return Training.read(reply.training)

    async def recipes(self) -> tuple[Recipe, ...]:
        """By name."""
        with raising(self._address):
            reply = await self._stub.ListRecipes(service_pb2.ListRecipesRequest(), **self._call)
        return tuple(
            Recipe(one.name, one.description, _kind(one.kind), one.form, one.method, one.yaml)
            for one in reply.recipes
        )

    async def dataset(self, dataset_id: str) -> TrainingDataset:
        request = service_pb2.GetTrainingDatasetRequest(dataset_id=dataset_id)
        with raising(self._address):
            reply = await self._stub.GetTrainingDataset(request, **self._call)
        found = reply.dataset
        return TrainingDataset(
            dataset_id=found.dataset_id,
            form=found.form,
            rows=dict(found.rows),
            filters={one.filter: one.rows for one in found.filters},
            slices=dict(found.slices),
            as_of=_time(found, "as_of"),
            uri=found.uri,
            create_time=_time(found, "create_time"),
        )

    async def models(self, name: str = "") -> tuple[Model, ...]:
        """By name, then newest first; empty name means all."""
        request = service_pb2.ListModelsRequest(name=name)
        with raising(self._address):
            reply = await self._stub.ListModels(request, **self._call)
        return tuple(map(Model.read, reply.models))

    async def model(self, name: str, version: str = "") -> Model:
        """version: a number or an alias; empty means the newest."""
        request = service_pb2.GetModelRequest(name=name, version=version)
        with raising(self._address):
            reply = await self._stub.GetModel(request, **self._call)
        return Model.read(reply.model)

    async def lineage(
        self, kind: str, id: str, *, direction: Direction = "back", limit: int = 0
    ) -> Lineage:
        """What a thing came from, or what came from it; nearest first. limit: 0 means 1000."""
        way = service_pb2.LineageDirection.Value(f"LINEAGE_DIRECTION_{direction.upper()}")
        request = service_pb2.GetLineageRequest(kind=kind, id=id, direction=way, limit=limit)
        with raising(self._address):
            reply = await self._stub.GetLineage(request, **self._call)
        return Lineage(
            tuple(
                LineageNode(one.kind, one.id, one.label, _time(one, "time")) for one in reply.nodes
            ),
            tuple(LineageEdge(one.from_node, one.to_node, one.relation) for one in reply.edges),
            reply.truncated,
        )


def _kind(kind: training_pb2.ModelKind.ValueType) -> str:
    return training_pb2.ModelKind.Name(kind).removeprefix("MODEL_KIND_").lower()


def _time(message: Any, name: str) -> datetime | None:
    stamp: Timestamp = getattr(message, name)
    return stamp.ToDatetime(UTC) if message.HasField(name) else None
