"""The only place where everything meets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, TypeVar

import uuid_utils
from gyre.retraining.v1.service_pb2_grpc import add_RetrainingServiceServicer_to_server
from gyre_runtime import __version__
from gyre_runtime.bus import Bus
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer, TenantKeys
from gyre_runtime.telemetry import counter, gauge, logger

from gyre_retraining.adapters.catalogue import CatalogueRecipes, read_policies
from gyre_retraining.adapters.datasets import FolderDatasetStore
from gyre_retraining.adapters.evaluation_sets import ServiceEvaluationSets
from gyre_retraining.adapters.feature_history import FeastFeatureHistory
from gyre_retraining.adapters.forgetting import eraser
from gyre_retraining.adapters.jobs_kubernetes import KubernetesJobs
from gyre_retraining.adapters.jobs_local import LocalJobs
from gyre_retraining.adapters.lineage import DatabaseLineageStore, ParquetDatasetSources
from gyre_retraining.adapters.manifests import Cluster
from gyre_retraining.adapters.metric_scales import ServiceMetricScales
from gyre_retraining.adapters.mlflow_registry import MlflowModelRegistry
from gyre_retraining.adapters.model_store import FolderModelStore
from gyre_retraining.adapters.releases import DatabaseReleases
from gyre_retraining.adapters.sources import DatabaseSourceStore
from gyre_retraining.adapters.tables import MIGRATIONS, metadata
from gyre_retraining.adapters.trainings import DatabaseTrainings
from gyre_retraining.adapters.worker.jobs import new_worker
from gyre_retraining.dataset_ports import EvaluationSets, MetricScales
from gyre_retraining.domain.models import Licences, ModelKind
from gyre_retraining.domain.trainings import Training, TrainingImpossible
from gyre_retraining.domain.triggers import Decision, Policy
from gyre_retraining.handlers import listeners
from gyre_retraining.ports import Jobs, Recipes, Trainings
from gyre_retraining.registry_ports import ModelRegistry
from gyre_retraining.rpc import DESCRIPTOR, ROLES, Doors, RetrainingServicer
from gyre_retraining.settings import Settings
from gyre_retraining.use_cases.assembling import AssembleDatasets, AssemblyRules
from gyre_retraining.use_cases.deciding import DecideOnTrainings, LookForReasons
from gyre_retraining.use_cases.hearing import HearSources
from gyre_retraining.use_cases.importing import Import, ImportModels
from gyre_retraining.use_cases.lineage import RecordLineage, TraceLineage
from gyre_retraining.use_cases.making import MakeModels
from gyre_retraining.use_cases.models import BrowseModels
from gyre_retraining.use_cases.preparing import PrepareDatasets
from gyre_retraining.use_cases.registering import RegisterModels
from gyre_retraining.use_cases.releasing import FollowReleases
from gyre_retraining.use_cases.training import Bench, Pace, Watch, WorkOnTrainings
from gyre_retraining.use_cases.watching import WatchTrainings

NAME = "retraining"
COUNTING_PAUSE = 15.0
DECISIONS = counter("retraining_decisions", "Decisions to train or not.", ["kind", "verdict"])
ENDED = counter("retraining_ended", "Trainings that ended.", ["state", "reason"])
OPEN = gauge("retraining_open", "Trainings that have not ended.")
Background = Callable[[], Coroutine[Any, Any, None]]
Resource = AbstractAsyncContextManager[Any]
ResourceT = TypeVar("ResourceT", bound=Resource)
_log = logger("gyre.retraining")


def build(
    settings: Settings,
    *,
    database: Database | None = None,
    bus: Bus | None = None,
    jobs: Jobs | None = None,
    registry: ModelRegistry | None = None,
    sets: EvaluationSets | None = None,
    scales: MetricScales | None = None,
) -> Service:
    """The service; what is not given is the real thing."""
    database = database or Database(_url(settings), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, NAME, database=database)
    parts = Parts(settings, database, jobs, registry, sets, scales)
    bus.include(listeners(parts.hear, parts.decide, parts.releases, parts.eraser.begin))
    rpc = RpcServer(settings, service=NAME)
    servicer = RetrainingServicer(parts.doors())
    rpc.add(add_RetrainingServiceServicer_to_server, servicer, DESCRIPTOR, roles=ROLES)
    return Service(
        settings,
        NAME,
        bus=bus,
        rpc=rpc,
        database=database,
        background=parts.background(),
        resources=parts.resources,
    )


class Parts:
    """The stories of one process, over one database."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        jobs: Jobs | None,
        registry: ModelRegistry | None,
        sets: EvaluationSets | None,
        scales: MetricScales | None,
    ) -> None:
        self._settings = settings
        self.resources: list[Resource] = []
        self._recipes = CatalogueRecipes(settings.recipe_folders)
        self._policies = _policies(settings, self._recipes)
        self._sources = DatabaseSourceStore(database)
        self._trainings = DatabaseTrainings(database, _now)
        self._lineage = DatabaseLineageStore(database)
        record = RecordLineage(self._lineage, ParquetDatasetSources())
        self.hear = HearSources(self._sources, record)
        kept = FolderDatasetStore(settings.datasets_folder.absolute())
        self.eraser = eraser(database, self._lineage, kept, _told("erasing_failed"))
        self._datasets = PrepareDatasets(self._assembling(sets, scales), record)
        store, registry = FolderModelStore(settings.models.absolute()), registry or self._mlflow()
        self._browse = BrowseModels(registry, store)
        self.releases = FollowReleases(registry, DatabaseReleases(database))
        models = self._models(store, registry)
        bench = Bench(
            self._trainings,
            self._datasets,
            jobs or _jobs(settings),
            models,
            _now,
            settings.job_tracking_uri,
        )
        watch = Watch(_told("training_trouble"), _ended)
        self._work = WorkOnTrainings(bench, _pace(settings), watch, owner=_new_id())
        self.decide = self._deciding()

    def doors(self) -> Doors:
        return Doors(
            self.decide,
            WatchTrainings(self._trainings, self._recipes, self._work.call),
            self._datasets,
            self._browse,
            TraceLineage(self._lineage),
        )

    def background(self) -> list[Background]:
        look = LookForReasons(
            self.decide,
            self._trainings,
            self._sources,
            self._policies,
            _now,
            pause=self._settings.look_pause,
            failed=_told("looking_failed"),
        )
        looking = [look.run] if self._policies else []
        return [self._work.run, *looking, lambda: _counting(self._trainings), self.eraser.run]

    def _deciding(self) -> DecideOnTrainings:
        return DecideOnTrainings(
            self._trainings,
            self._recipes,
            self._datasets,
            self._sources,
            self._policies,
            _now,
            new_id=_new_id,
            call=self._work.call,
            decided=_decided,
        )

    def _assembling(
        self, sets: EvaluationSets | None, scales: MetricScales | None
    ) -> AssembleDatasets:
        settings = self._settings
        keys = TenantKeys(settings.retraining_keys, no_key)
        if sets is None:
            sets = self._entered(ServiceEvaluationSets(settings.evaluation_address, settings, keys))
        if scales is None:
            scales = self._entered(ServiceMetricScales(settings.feedback_address, settings, keys))
        history = settings.feature_history
        rules = AssemblyRules(
            consent_key=settings.consent_key,
            consent_values=settings.consent_values,
            vouched=settings.vouched_principals,
            triggers=settings.canary_triggers,
        )
        return AssembleDatasets(
            self._sources,
            FolderDatasetStore(settings.datasets_folder.absolute()),
            sets,
            scales,
            None if history is None else FeastFeatureHistory(history),
            rules,
            _now,
        )

    def _models(self, store: FolderModelStore, registry: ModelRegistry) -> MakeModels:
        settings = self._settings
        licences = Licences(settings.data_licence, settings.model_licence)
        register = RegisterModels(store, registry, self._lineage, licences)
        imports = {
            name: Import(ModelKind(one.kind), one.folder.absolute())
            for name, one in settings.model_imports.items()
        }
        importing = ImportModels(register, registry, imports)
        return MakeModels(self._browse, register, importing, __version__)

    def _mlflow(self) -> MlflowModelRegistry:
        settings = self._settings
        secrets = settings.registry_environment.items()
        worker = self._entered(
            new_worker(
                memory=settings.worker_memory,
                seconds=settings.worker_seconds,
                environment={name: value.get_secret_value() for name, value in secrets},
            )
        )
        return MlflowModelRegistry(worker, settings.registry_uri)

    def _entered(self, resource: ResourceT) -> ResourceT:
        self.resources.append(resource)
        return resource


def _jobs(settings: Settings) -> Jobs:
    if settings.jobs == "local":
        return LocalJobs(
            settings.jobs_folder,
            settings.models_python,
            environment=settings.job_environment,
            grace=settings.job_grace,
        )
    cluster = Cluster(
        namespace=settings.kubernetes_namespace,
        image=settings.kubernetes_image,
        claim=settings.kubernetes_claim,
        mount=settings.kubernetes_mount,
        kind=settings.kubernetes_kind,
        runtime=settings.kubernetes_runtime,
        accelerators=settings.kubernetes_accelerators,
        accelerator=settings.kubernetes_accelerator,
        cpus=settings.kubernetes_cpus,
        grace=int(settings.job_grace),
        priority_class=settings.kubernetes_priority_class,
    )
    return KubernetesJobs(settings.jobs_folder, cluster, kubectl=settings.kubectl)


def _policies(settings: Settings, recipes: Recipes) -> list[Policy]:
    if settings.policies_file is None:
        return []
    return read_policies(settings.policies_file, [one.name for one in recipes.all()])


def _pace(settings: Settings) -> Pace:
    return Pace(
        at_once=settings.trainings_at_once,
        lease=settings.training_lease,
        pause=settings.training_pause,
        said=settings.progress_pause,
        starts=settings.job_starts,
    )


async def _counting(trainings: Trainings) -> None:
    while True:
        OPEN.set(await trainings.open())
        await asyncio.sleep(COUNTING_PAUSE)


def _decided(decision: Decision) -> None:
    verdict = decision.verdict
    DECISIONS.labels(decision.kind.value, verdict.reason).inc()
    _log.info("decided", kind=decision.kind.value, recipe=decision.recipe, verdict=verdict.reason)


def _ended(training: Training) -> None:
    ENDED.labels(training.state.value, training.reason).inc()
    _log.info(
        "training_ended",
        training_id=training.training_id,
        state=training.state.value,
        reason=training.reason,
    )


def _told(event: str) -> Callable[[Exception], None]:
    return lambda error: _log.warning(event, error=repr(error)[:500])


def _new_id() -> str:
    return str(uuid_utils.uuid7())


def _now() -> datetime:
    return datetime.now(UTC)


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ValueError("set GYRE_DATABASE_URL: sources, decisions and trainings must be kept")
    return settings.database_url


def no_key() -> TrainingImpossible:
    """For a tenant that this service may not ask others for."""
    detail = "retraining has no key of this tenant: name one in GYRE_RETRAINING_KEYS"
    return TrainingImpossible("no_key", detail)
