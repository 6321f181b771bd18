"""The only place where the parts of the service are put together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from gyre.evaluation.v1.events_pb2 import AlertAcknowledged, AlertRaised
from gyre.inference.v1 import events_pb2, service_pb2, service_pb2_grpc
from gyre_runtime.bus import Bus
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer, channel
from gyre_runtime.telemetry import gauge, logger

from gyre_inference.adapters.addresses import Allowed
from gyre_inference.adapters.built_in import CHAINS, PROMPTS, built_in_chains, built_in_prompts
from gyre_inference.adapters.chain_runs import DatabaseChainRuns
from gyre_inference.adapters.embedding import EmbeddingSentenceVectors, embedding_service
from gyre_inference.adapters.erasures import DatabaseErasures
from gyre_inference.adapters.experiments import DatabaseExperiments
from gyre_inference.adapters.http_tools import HttpxTools
from gyre_inference.adapters.materialising import CommandShelf
from gyre_inference.adapters.records import OutboxRecords
from gyre_inference.adapters.registry import DatabaseRegistry
from gyre_inference.adapters.retrieval import RetrievalPassageSearch, retrieval_service
from gyre_inference.adapters.rollouts import DatabaseRollouts
from gyre_inference.adapters.tables import MIGRATIONS, metadata
from gyre_inference.adapters.templates import JinjaTemplates
from gyre_inference.adapters.throttles import DatabaseThrottles
from gyre_inference.adapters.triton import TritonLanguageModel, Watchdogs, triton_at
from gyre_inference.adapters.triton_control import TritonModelServer
from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.rollouts import Plan
from gyre_inference.doors import chains, experiments, privacy, prompts, rollouts
from gyre_inference.handlers import erasure_listeners, listeners, loop_listeners
from gyre_inference.ports import (
    LanguageModel,
    ModelServer,
    ModelShelf,
    PassageSearch,
    SentenceVectors,
)
from gyre_inference.rpc import InferenceServicer
from gyre_inference.settings import Settings
from gyre_inference.use_cases.built_in import BuiltInFile
from gyre_inference.use_cases.erasing import EraseUsers
from gyre_inference.use_cases.rollouts.driving import Driver, Hands, Patience
from gyre_inference.use_cases.rollouts.reconciling import Reconciled, Reconciler
from gyre_inference.use_cases.rollouts.trained import RollOutTrained
from gyre_inference.use_cases.stories import Neighbours, Stories
from gyre_inference.use_cases.sweeping import Sweeper
from gyre_inference.use_cases.throttling import Throttling
from gyre_inference.use_cases.weighing import Weigher

NAME = "inference"
Connections = list[AbstractAsyncContextManager[Any]]
ROLES = {name: frozenset({"reader"}) for name in ("Answer", "Generate", "RunChain")}
_HEARD_BY_EVERY_PROCESS = (
    events_pb2.PromptPromoted,
    events_pb2.ChainPromoted,
    events_pb2.ExperimentStarted,
    events_pb2.ExperimentStopped,
    events_pb2.ExperimentReweighted,
    events_pb2.RolloutStarted,
    events_pb2.RolloutChanged,
)
MODELS_STUCK = gauge("inference_models_stuck", "Models that the model server does not let go of.")
MODELS_FOREIGN = gauge("inference_models_foreign", "Models named like a release, of no rollout.")
SHADOWS_LEFT_OUT = gauge(
    "inference_shadows_left_out", "Second answers that were not asked for: too many waited."
)
_log = logger(__name__)


def build(
    settings: Settings,
    *,
    search: PassageSearch | None = None,
    vectors: SentenceVectors | None = None,
    model: LanguageModel | None = None,
    server: ModelServer | None = None,
    shelf: ModelShelf | None = None,
    database: Database | None = None,
    bus: Bus | None = None,
) -> Service:
    """The service, not yet started; what is given replaces the real thing. A bus that is given
    was made with the database that is given."""
    database = database or Database(_url(settings), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, NAME, database=database)
    connections: Connections = []
    runs = DatabaseChainRuns(database)
    neighbours = Neighbours(
        search=search or _search(settings, connections),
        vectors=vectors or _vectors(settings, connections),
        model=model or _model(settings, connections),
        tools=_tools(settings),
        templates=JinjaTemplates(),
        registry=DatabaseRegistry(database),
        experiments=DatabaseExperiments(database),
        runs=runs,
        records=OutboxRecords(database),
        rollouts=DatabaseRollouts(database),
    )
    stories = Stories(neighbours, _policy(settings), pause=settings.registry_poll, failed=_failed)
    files = _built_in(settings, stories)

    async def follow() -> None:
        await stories.begin(files)
        await stories.in_force.follow()

    for event in _HEARD_BY_EVERY_PROCESS:
        bus.listen(event, stories.in_force.ring)
    throttles = DatabaseThrottles(database)
    throttling = Throttling(throttles, pause=settings.throttle_poll, failed=_not_looked)
    bus.listen(AlertRaised, throttling.ring)
    bus.listen(AlertAcknowledged, throttling.ring)
    bus.include(listeners(throttling, stories.hearing))
    trained = _trained(settings, neighbours, stories) if settings.rollout_trained else None
    bus.include(loop_listeners(stories.gates, trained))
    erasures = DatabaseErasures(database, grace=settings.erasure_grace, failed=_not_erased)
    bus.include(erasure_listeners(erasures))
    SHADOWS_LEFT_OUT.set_function(lambda: stories.shadows.left_out)
    server = server or _server(settings, connections)
    shelf = shelf or _shelf(settings)
    driver = _driver(settings, Hands(neighbours.rollouts, neighbours.model, server, shelf), stories)
    reconciler = _reconciler(settings, neighbours, server, shelf)
    weigher = _weigher(settings, neighbours, stories)
    sweeper = Sweeper(runs, kept=settings.chain_runs_kept, failed=_failed)
    return Service(
        settings,
        NAME,
        bus=bus,
        rpc=_rpc(settings, stories, throttling, EraseUsers(erasures)),
        database=database,
        background=[
            follow,
            throttling.follow,
            sweeper.run,
            erasures.eraser.run,
            stories.observer.run,
            stories.shadows.run,
            driver.run,
            weigher.run,
            reconciler.run,
            *([trained.run] if trained else []),
        ],
        resources=connections,
    )


def _rpc(
    settings: Settings, stories: Stories, throttling: Throttling, users: EraseUsers
) -> RpcServer:
    rpc = RpcServer(settings, service=NAME)
    servicers: Mapping[str, tuple[Any, Any, Mapping[str, frozenset[str]]]] = {
        "InferenceService": (
            service_pb2_grpc.add_InferenceServiceServicer_to_server,
            InferenceServicer(stories.answers, stories.texts, stories.chain_runs, throttling),
            ROLES,
        ),
        "PromptService": (
            service_pb2_grpc.add_PromptServiceServicer_to_server,
            prompts.PromptServicer(stories.prompts),
            prompts.ROLES,
        ),
        "ChainService": (
            service_pb2_grpc.add_ChainServiceServicer_to_server,
            chains.ChainServicer(stories.chains, stories.chain_runs),
            chains.ROLES,
        ),
        "ExperimentService": (
            service_pb2_grpc.add_ExperimentServiceServicer_to_server,
            experiments.ExperimentServicer(stories.experiments),
            experiments.ROLES,
        ),
        "RolloutService": (
            service_pb2_grpc.add_RolloutServiceServicer_to_server,
            rollouts.RolloutServicer(stories.rollouts, _plan(settings)),
            rollouts.ROLES,
        ),
        "PrivacyService": (
            service_pb2_grpc.add_PrivacyServiceServicer_to_server,
            privacy.PrivacyServicer(users),
            privacy.ROLES,
        ),
    }
    for name, (add, servicer, roles) in servicers.items():
        rpc.add(add, servicer, service_pb2.DESCRIPTOR.services_by_name[name], roles=roles)
    return rpc


def _shelf(settings: Settings) -> ModelShelf:
    return CommandShelf(settings.materialise_command, settings.models, settings.triton_repository)


def _driver(settings: Settings, hands: Hands, stories: Stories) -> Driver:
    patience = Patience(
        look=settings.rollout_poll, gate=settings.rollout_gate, longest=settings.rollout_longest
    )
    return Driver(hands, stories.in_force.refresh, patience, failed=_not_rolled_out)


def _weigher(settings: Settings, to: Neighbours, stories: Stories) -> Weigher:
    changed, pause = stories.in_force.refresh, settings.experiment_pause
    return Weigher(to.experiments, changed, pause=pause, failed=_not_weighed)


def _trained(settings: Settings, to: Neighbours, stories: Stories) -> RollOutTrained:
    return RollOutTrained(
        to.rollouts,
        _policy(settings),
        replace(_plan(settings), gated=True),
        stories.in_force.refresh,
        pause=settings.rollout_poll,
        told=_stays_as_it_is,
        failed=_not_rolled_out,
    )


def _reconciler(
    settings: Settings, to: Neighbours, server: ModelServer, shelf: ModelShelf
) -> Reconciler:
    return Reconciler(
        to.rollouts,
        server,
        shelf,
        _policy(settings).models,
        pause=settings.reconcile_poll,
        drain=settings.rollout_drain,
        told=_reconciled,
        failed=_not_reconciled,
    )


def _built_in(settings: Settings, stories: Stories) -> list[BuiltInFile]:
    return [
        *built_in_prompts(settings.prompts_folder or PROMPTS, stories.prompts),
        *built_in_chains(settings.chains_folder or CHAINS, stories.chains),
    ]


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ValueError("set GYRE_DATABASE_URL: records of answers must be durable")
    return settings.database_url


def _policy(settings: Settings) -> Policy:
    return Policy(
        model=settings.language_model,
        models=settings.language_models | {settings.language_model},
        prompt=settings.answer_prompt,
        top_k=settings.answer_top_k,
        support=settings.answer_support,
        candidates=settings.selection_candidates,
        parameters=Parameters(max_tokens=settings.max_tokens),
    )


def _plan(settings: Settings) -> Plan:
    return Plan(
        steps=settings.rollout_steps,
        metrics=settings.rollout_metrics,
        minimum=settings.rollout_minimum,
        margin=settings.rollout_margin,
        shadow_share=settings.rollout_shadow_share,
        shadow_pairs=settings.rollout_shadow_pairs,
        keep=settings.rollout_keep,
    )


def _server(settings: Settings, connections: Connections) -> ModelServer:
    triton = triton_at(settings.triton_address)
    connections.append(triton)
    return TritonModelServer(triton, admin_key=settings.triton_admin_key.get_secret_value())


def _tools(settings: Settings) -> HttpxTools:
    allowed = Allowed(settings.chain_http_hosts, settings.chain_http_private)
    return HttpxTools(allowed, settings.chain_http_headers)


def _model(settings: Settings, connections: Connections) -> LanguageModel:
    triton = triton_at(settings.triton_address)
    connections.append(triton)
    watchdogs = Watchdogs(settings.first_token_timeout, settings.next_token_timeout)
    key = settings.triton_admin_key.get_secret_value()
    return TritonLanguageModel(triton, watchdogs, admin_key=key)


def _search(settings: Settings, connections: Connections) -> PassageSearch:
    service = retrieval_service(lambda: channel(settings.retrieval_address, settings))
    connections.append(service)
    return RetrievalPassageSearch(service, settings.retrieval_timeout)


def _vectors(settings: Settings, connections: Connections) -> SentenceVectors:
    service = embedding_service(lambda: channel(settings.embedding_address, settings))
    connections.append(service)
    return EmbeddingSentenceVectors(service, settings.embedding_timeout)


def _failed(error: Exception) -> None:
    _log.warning("registry_not_read", error=repr(error))


def _not_looked(error: Exception) -> None:
    _log.warning("throttles_not_read", error=repr(error))


def _not_erased(error: Exception) -> None:
    _log.warning("erasure_not_advanced", error=repr(error)[:500])


def _not_weighed(error: Exception) -> None:
    _log.warning("experiments_not_weighed", error=repr(error))


def _not_rolled_out(error: Exception) -> None:
    _log.warning("rollout_not_moved", error=repr(error))


def _stays_as_it_is(model: str, why: str) -> None:
    _log.info("model_not_rolled_out", model=model, why=why)


def _not_reconciled(error: Exception) -> None:
    _log.info("models_not_compared", error=repr(error))


def _reconciled(found: Reconciled) -> None:
    MODELS_STUCK.set(len(found.stuck))
    MODELS_FOREIGN.set(len(found.foreign))
    if found.loaded or found.unloaded:
        _log.info("models_reconciled", loaded=found.loaded, unloaded=found.unloaded)
