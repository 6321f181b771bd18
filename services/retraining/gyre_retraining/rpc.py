"""The gRPC door: one method, one call, one reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import uuid_utils
from gyre.retraining.v1 import service_pb2 as wire
from gyre.retraining.v1 import service_pb2_grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault

from gyre_retraining.domain.lineage import Direction, LineageInvalid, ThingUnknown
from gyre_retraining.domain.models import ModelUnknown
from gyre_retraining.domain.trainings import (
    DatasetUnknown,
    RecipeInvalid,
    RecipeUnknown,
    TrainingUnknown,
)
from gyre_retraining.domain.triggers import TrainingRefused
from gyre_retraining.ports import Datasets
from gyre_retraining.registry_ports import RegistryUnavailable
from gyre_retraining.use_cases.deciding import Asked, DecideOnTrainings
from gyre_retraining.use_cases.lineage import LIMIT, TraceLineage
from gyre_retraining.use_cases.models import BrowseModels
from gyre_retraining.use_cases.watching import WatchTrainings
from gyre_retraining.wire.datasets import dataset_to
from gyre_retraining.wire.models import model_to, trace_to
from gyre_retraining.wire.trainings import recipe_to, training_to

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["RetrainingService"]
READERS = frozenset({"reader", "writer", "operator"})
WRITERS = frozenset({"writer", "operator"})
ROLES = {
    "StartTraining": WRITERS,
    "GetTraining": READERS,
    "ListTrainings": READERS,
    "WatchTraining": READERS,
    "CancelTraining": WRITERS,
    "ListRecipes": READERS,
    "GetTrainingDataset": READERS,
    "ListModels": READERS,
    "GetModel": READERS,
    "GetLineage": READERS,
}
ROWS, MOST_ROWS = 50, 500
LONGEST_REASON, LONGEST_ID, MOST_OVERRIDES = 1000, 128, 100
DIRECTIONS = {
    wire.LINEAGE_DIRECTION_UNSPECIFIED: Direction.BACK,
    wire.LINEAGE_DIRECTION_BACK: Direction.BACK,
    wire.LINEAGE_DIRECTION_FORWARD: Direction.FORWARD,
}

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Doors:
    """The stories behind the door."""

    decide: DecideOnTrainings
    watch: WatchTrainings
    datasets: Datasets
    models: BrowseModels
    lineage: TraceLineage


class RetrainingServicer(service_pb2_grpc.RetrainingServiceServicer):
    """Tenant and principal from the credential, never from a field."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def StartTraining(
        self, request: wire.StartTrainingRequest, context: Context
    ) -> wire.StartTrainingResponse:
        with _faults():
            training = await self._doors.decide.ask(_asked(request))
        return wire.StartTrainingResponse(training=training_to(training))

    async def GetTraining(
        self, request: wire.GetTrainingRequest, context: Context
    ) -> wire.GetTrainingResponse:
        with _faults():
            training = await self._doors.watch.get(_tenant(), request.training_id)
        return wire.GetTrainingResponse(training=training_to(training))

    async def ListTrainings(
        self, request: wire.ListTrainingsRequest, context: Context
    ) -> wire.ListTrainingsResponse:
        size = _page(request.page_size)
        found = await self._doors.watch.page(_tenant(), request.recipe, size, request.page_token)
        last = found[-1] if len(found) == size else None
        return wire.ListTrainingsResponse(
            trainings=map(training_to, found), next_page_token=last.training_id if last else ""
        )

    async def WatchTraining(
        self, request: wire.WatchTrainingRequest, context: Context
    ) -> AsyncIterator[wire.WatchTrainingResponse]:
        with _faults():
            async for training in self._doors.watch.watch(_tenant(), request.training_id):
                yield wire.WatchTrainingResponse(training=training_to(training))

    async def CancelTraining(
        self, request: wire.CancelTrainingRequest, context: Context
    ) -> wire.CancelTrainingResponse:
        _short("reason", request.reason, LONGEST_REASON)
        who = current_principal()
        with _faults():
            training = await self._doors.watch.cancel(
                who.tenant, request.training_id, who.name, request.reason
            )
        return wire.CancelTrainingResponse(training=training_to(training))

    async def ListRecipes(
        self, request: wire.ListRecipesRequest, context: Context
    ) -> wire.ListRecipesResponse:
        return wire.ListRecipesResponse(recipes=map(recipe_to, self._doors.watch.recipes()))

    async def GetTrainingDataset(
        self, request: wire.GetTrainingDatasetRequest, context: Context
    ) -> wire.GetTrainingDatasetResponse:
        with _faults():
            dataset = await self._doors.datasets.describe(_tenant(), request.dataset_id)
        return wire.GetTrainingDatasetResponse(dataset=dataset_to(dataset))

    async def ListModels(
        self, request: wire.ListModelsRequest, context: Context
    ) -> wire.ListModelsResponse:
        with _faults():
            found = await self._doors.models.models(_tenant(), request.name)
        return wire.ListModelsResponse(models=[model_to(one, whole=False) for one in found])

    async def GetModel(
        self, request: wire.GetModelRequest, context: Context
    ) -> wire.GetModelResponse:
        models = self._doors.models
        with _faults():
            found = await models.model(_tenant(), request.name, request.version)
        return wire.GetModelResponse(model=model_to(found, card=models.card(found)))

    async def GetLineage(
        self, request: wire.GetLineageRequest, context: Context
    ) -> wire.GetLineageResponse:
        if not 0 <= request.limit <= LIMIT:
            raise _invalid("limit", f"0 to {LIMIT}")
        if request.direction not in DIRECTIONS:
            raise _invalid("direction", "BACK or FORWARD")
        with _faults():
            trace = await self._doors.lineage.trace(
                _tenant(), request.kind, request.id, DIRECTIONS[request.direction], request.limit
            )
        return trace_to(trace)


@contextmanager
def _faults() -> Iterator[None]:
    """Errors of the stories as status codes that say what to do."""
    missing = grpc.StatusCode.NOT_FOUND
    try:
        yield
    except TrainingUnknown as error:
        detail = f"there is no training '{error}': `gyre train list` names them"
        raise RpcFault(missing, detail) from error
    except RecipeUnknown as error:
        detail = f"there is no recipe '{error}': `gyre train recipes` names them"
        raise RpcFault(missing, detail) from error
    except DatasetUnknown as error:
        raise RpcFault(missing, f"there is no dataset '{error}'") from error
    except ModelUnknown as error:
        detail = f"there is no model '{error}': `gyre models list` names them"
        raise RpcFault(missing, detail) from error
    except ThingUnknown as error:
        raise RpcFault(missing, f"the lineage does not know {error}") from error
    except RecipeInvalid as error:
        raise _invalid("overrides", str(error)) from error
    except LineageInvalid as error:
        raise _invalid("kind", str(error)) from error
    except TrainingRefused as error:
        raise RpcFault(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
    except RegistryUnavailable as error:
        raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=1.0) from error


def _asked(request: wire.StartTrainingRequest) -> Asked:
    _short("request_id", request.request_id, LONGEST_ID)
    _short("reason", request.reason, LONGEST_REASON)
    if len(request.overrides) > MOST_OVERRIDES:
        raise _invalid("overrides", f"at most {MOST_OVERRIDES}")
    who = current_principal()
    return Asked(
        tenant=who.tenant,
        principal=who.name,
        recipe=request.recipe,
        request_id=request.request_id or str(uuid_utils.uuid7()),
        reason=request.reason or f"{who.name} asked",
        overrides=dict(request.overrides),
        dataset_id=request.dataset_id,
    )


def _tenant() -> str:
    return current_principal().tenant


def _page(size: int) -> int:
    if not 0 <= size <= MOST_ROWS:
        raise _invalid("page_size", f"0 to {MOST_ROWS}")
    return size or ROWS


def _short(field: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise _invalid(field, f"at most {longest} characters")


def _invalid(field: str, what: str) -> RpcFault:
    return RpcFault(
        grpc.StatusCode.INVALID_ARGUMENT, "the request is not valid", violations={field: what}
    )
