"""The only place where everything meets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import uuid_utils
from gyre.evaluation.v1.gate_pb2_grpc import add_GateServiceServicer_to_server
from gyre.evaluation.v1.replay_pb2_grpc import add_ReplayServiceServicer_to_server
from gyre.evaluation.v1.service_pb2_grpc import add_EvaluationServiceServicer_to_server
from gyre_runtime.bus import Bus, Listeners
from gyre_runtime.database import Database
from gyre_runtime.erasing import Eraser
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer, TenantKeys
from gyre_runtime.telemetry import gauge, logger
from gyre_runtime.worker import Worker

from gyre_evaluation.adapters.drift_tests import WorkerDriftTests
from gyre_evaluation.adapters.embedding import ServiceSentenceVectors
from gyre_evaluation.adapters.forgetting import eraser
from gyre_evaluation.adapters.inference import InferenceTargets
from gyre_evaluation.adapters.intervals import (
    MlflowTracker,
    WorkerReportPages,
    WorkerStatistics,
)
from gyre_evaluation.adapters.judges import JudgeEndpoint, Judges
from gyre_evaluation.adapters.live.store import DatabaseLiveStore
from gyre_evaluation.adapters.live_scorer import ScoringLiveAnswers
from gyre_evaluation.adapters.offline.datasets import DatabaseDatasets
from gyre_evaluation.adapters.offline.gates import DatabaseGates
from gyre_evaluation.adapters.offline.recorded import DatabaseRecordedAnswers
from gyre_evaluation.adapters.offline.replays import DatabaseReplays
from gyre_evaluation.adapters.offline.runs import DatabaseRuns
from gyre_evaluation.adapters.question_vectors import TenantQuestionVectors
from gyre_evaluation.adapters.reviews import FeedbackReviews
from gyre_evaluation.adapters.scoring import SentenceVectors, WorkerScoring
from gyre_evaluation.adapters.tables import MIGRATIONS, metadata
from gyre_evaluation.adapters.webhook import WebhookReceiver
from gyre_evaluation.adapters.worker.jobs import new_worker
from gyre_evaluation.domain.abuse.watching import AbuseRules
from gyre_evaluation.domain.drift.traffic import Plan
from gyre_evaluation.domain.errors import NotPossible
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.metric import Direction, Source
from gyre_evaluation.domain.rubrics import JUDGED
from gyre_evaluation.doors import gates as gate_door
from gyre_evaluation.doors import replays as replay_door
from gyre_evaluation.handlers import listeners
from gyre_evaluation.ports import LiveScorer, QuestionVectors, Scoring, Targets
from gyre_evaluation.rpc import DESCRIPTOR, ROLES, EvaluationServicer, Offline
from gyre_evaluation.settings import Settings
from gyre_evaluation.use_cases.asking import AskExample
from gyre_evaluation.use_cases.awaited import AwaitGates
from gyre_evaluation.use_cases.browsing import BrowseLive
from gyre_evaluation.use_cases.comparing import CompareRuns
from gyre_evaluation.use_cases.datasets import KeepDatasets
from gyre_evaluation.use_cases.disparities import CheckDisparities
from gyre_evaluation.use_cases.drift import CheckDrift
from gyre_evaluation.use_cases.gates import KeepGates
from gyre_evaluation.use_cases.gating import AdvanceGates, GateBench
from gyre_evaluation.use_cases.judgements import HearJudgements
from gyre_evaluation.use_cases.live import HearAnswers, LivePolicy
from gyre_evaluation.use_cases.live_scoring import ScoreLiveAnswers
from gyre_evaluation.use_cases.quality import CheckQuality
from gyre_evaluation.use_cases.replaying import AdvanceReplays, History
from gyre_evaluation.use_cases.replays import KeepReplays
from gyre_evaluation.use_cases.runs import StartRuns
from gyre_evaluation.use_cases.working import Bench, Pace, WorkOnRuns

NAME = "evaluation"
SCORING_PAUSE, CHECKING_PAUSE, FORGETTING_PAUSE = 1.0, 15.0, 3600.0
WAITING = gauge("evaluation_live_waiting", "Live answers that wait to be scored.")
Background = Callable[[], Coroutine[Any, Any, None]]
Resource = AbstractAsyncContextManager[Any]


@dataclass(frozen=True)
class OfflineWork:
    """What has to do with datasets and runs."""

    door: Offline
    replays: KeepReplays
    gates: KeepGates
    awaited: AwaitGates
    background: tuple[Background, ...]
    scoring: Scoring
    sentences: SentenceVectors
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Scorers:
    """What live answers are scored by; no judges where none are set up."""

    rules: LiveScorer
    judges: LiveScorer | None
    vectors: QuestionVectors


@dataclass(frozen=True)
class Live:
    """What has to do with live answers: its door on the bus, its work behind the scenes."""

    listeners: Listeners
    browse: BrowseLive
    background: tuple[Background, ...]
    resources: tuple[Resource, ...] = ()


def build(
    settings: Settings,
    *,
    database: Database | None = None,
    bus: Bus | None = None,
    rules: LiveScorer | None = None,
    vectors: QuestionVectors | None = None,
    targets: Targets | None = None,
    scoring: Scoring | None = None,
) -> Service:
    """The service; what is not given is the real thing."""
    database = database or Database(_url(settings), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, NAME, database=database)
    worker = new_worker(memory=settings.worker_memory, seconds=settings.worker_seconds)
    recorded = DatabaseRecordedAnswers(database)
    runs = _offline(settings, database, worker, targets, scoring, recorded)
    scorers = Scorers(
        rules or _scorer(settings, runs.scoring, worker, Source.RULE),
        _scorer(settings, runs.scoring, worker, Source.JUDGE) if settings.judges else None,
        vectors or TenantQuestionVectors(runs.sentences, settings.evaluation_keys),
    )
    forgetting = eraser(database, _not_erased)
    live = _live(settings, database, worker, scorers, recorded, runs.awaited, forgetting)
    bus.include(live.listeners)
    rpc = RpcServer(settings, service=NAME)
    servicer = EvaluationServicer(runs.scoring.metrics(), live.browse, runs.door)
    rpc.add(add_EvaluationServiceServicer_to_server, servicer, DESCRIPTOR, roles=ROLES)
    rpc.add(
        add_ReplayServiceServicer_to_server,
        replay_door.ReplayServicer(runs.replays),
        replay_door.DESCRIPTOR,
        roles=replay_door.ROLES,
    )
    rpc.add(
        add_GateServiceServicer_to_server,
        gate_door.GateServicer(runs.gates),
        gate_door.DESCRIPTOR,
        roles=gate_door.ROLES,
    )
    return Service(
        settings,
        NAME,
        bus=bus,
        rpc=rpc,
        database=database,
        background=[*live.background, *runs.background, forgetting.run],
        resources=[worker, *live.resources, *runs.resources],
    )


def _offline(
    settings: Settings,
    database: Database,
    worker: Worker,
    targets: Targets | None,
    scoring: Scoring | None,
    recorded: DatabaseRecordedAnswers,
) -> OfflineWork:
    keys = TenantKeys(settings.evaluation_keys, no_key)
    # Pages and the book of experiments take seconds: live answers must not wait behind them.
    slow = new_worker(memory=settings.worker_memory, seconds=settings.worker_seconds)
    endpoints = [
        JudgeEndpoint(one.base_url, one.model, one.api_key.get_secret_value(), one.timeout)
        for one in settings.judges
    ]
    judges = Judges(endpoints, concurrency=settings.judge_concurrency)
    reviews = FeedbackReviews(settings.feedback_address, settings, keys)
    sentences = ServiceSentenceVectors(
        settings.embedding_address, settings, keys, timeout=settings.call_timeout
    )
    inference = InferenceTargets(
        settings.inference_address,
        settings.retrieval_address,
        settings,
        keys,
        timeout=settings.call_timeout,
    )
    runs, datasets = DatabaseRuns(database), DatabaseDatasets(database)
    every = {**RULES, **JUDGED}
    statistics = WorkerStatistics(worker)
    bench = Bench(
        runs,
        datasets,
        targets or inference,
        scoring or WorkerScoring(worker, sentences, judges),
        statistics,
        MlflowTracker(slow, settings.mlflow_tracking_uri),
    )
    pages = WorkerReportPages(slow)
    comparing = CompareRuns(
        runs,
        datasets,
        statistics,
        pages,
        every,
        least=settings.minimum_pairs,
    )
    work = WorkOnRuns(
        bench,
        _asking(settings, bench),
        comparing,
        Pace(settings.runs_at_once, settings.run_concurrency, settings.run_lease),
        owner=str(uuid_utils.uuid7()),
        failed=_run_failed,
    )
    known = _named(bench.scoring)
    starting = StartRuns(runs, datasets, metrics=known, call=work.call)
    history = History(DatabaseReplays(database), recorded, datasets, runs)
    advancing = AdvanceReplays(history, starting, comparing, failed=_run_failed)
    gates = DatabaseGates(database)
    gating = AdvanceGates(
        GateBench(gates, recorded, datasets, runs, statistics, every),
        starting,
        failed=_run_failed,
    )
    keeping = KeepGates(gates, runs, datasets, pages, known=known, call=gating.call)
    return OfflineWork(
        Offline(KeepDatasets(datasets, recorded, reviews), starting, comparing),
        KeepReplays(
            history.replays,
            runs,
            datasets,
            pages,
            every,
            known=known,
            call=advancing.call,
        ),
        keeping,
        AwaitGates(gates, keeping, call=gating.call),
        (work.run, advancing.run, gating.run),
        bench.scoring,
        sentences,
        (slow, judges, reviews, sentences, inference),
    )


def _named(scoring: Scoring) -> Callable[[], set[str]]:
    return lambda: {one.name for one in scoring.metrics()}


def _scorer(
    settings: Settings, scoring: Scoring, worker: Worker, source: Source
) -> ScoringLiveAnswers:
    return ScoringLiveAnswers(scoring, source, worker, settings.evaluation_keys)


def _asking(settings: Settings, bench: Bench) -> AskExample:
    prices = {name: (price.input, price.output) for name, price in settings.prices.items()}
    return AskExample(
        bench.runs, bench.targets, bench.scoring, prices=prices, attempts=settings.run_attempts
    )


def _not_erased(error: Exception) -> None:
    logger("gyre.evaluation").warning("erasing_failed", error=repr(error)[:500])


def _run_failed(error: Exception) -> None:
    logger("gyre.evaluation").warning("run_trouble", error=repr(error)[:500])


def _live(
    settings: Settings,
    database: Database,
    worker: Worker,
    scorers: Scorers,
    recorded: DatabaseRecordedAnswers,
    awaited: AwaitGates,
    forgetting: Eraser,
) -> Live:
    store, policy = DatabaseLiveStore(database), _policy(settings)
    scoring = ScoreLiveAnswers(store, scorers.rules, scorers.judges, scorers.vectors, policy)
    drift = CheckDrift(store, WorkerDriftTests(worker), policy)
    disparities = CheckDisparities(store, policy)
    quality = CheckQuality(store, policy, settings.quality_limits, _less_is_better())
    client = httpx.AsyncClient(timeout=settings.alert_webhook_timeout)
    receiver = _receiver(settings, client)
    return Live(
        listeners=listeners(
            HearAnswers(store, policy),
            HearJudgements(store, policy),
            receiver,
            recorded,
            settings.evaluation_principals,
            awaited,
            forgetting.begin,
        ),
        browse=BrowseLive(store, policy),
        background=(
            lambda: scoring.run(SCORING_PAUSE),
            lambda: drift.run(CHECKING_PAUSE),
            lambda: disparities.run(CHECKING_PAUSE),
            lambda: quality.run(CHECKING_PAUSE),
            lambda: _counting(store),
            lambda: _forgetting(store, recorded, timedelta(seconds=settings.online_keep)),
        ),
        resources=(client,),
    )


async def _counting(store: DatabaseLiveStore) -> None:
    while True:
        WAITING.set(await store.waiting())
        await asyncio.sleep(CHECKING_PAUSE)


async def _forgetting(
    store: DatabaseLiveStore, recorded: DatabaseRecordedAnswers, keep: timedelta
) -> None:
    while True:
        await recorded.forget(keep.total_seconds())
        await store.forget(datetime.now(UTC), keep)
        await asyncio.sleep(FORGETTING_PAUSE)


def _less_is_better() -> frozenset[str]:
    lower = {one.name for one in RULES.values() if one.direction is Direction.LOWER}
    return frozenset(lower | {"failure"})


def _policy(settings: Settings) -> LivePolicy:
    return LivePolicy(
        share=settings.online_share,
        slice_keys=settings.online_slices,
        window=timedelta(seconds=settings.online_window),
        judge_budget=settings.online_judge_budget,
        cool_down=timedelta(seconds=settings.alert_cool_down),
        plan=Plan(settings.drift_reference, settings.drift_window),
        abuse=AbuseRules(
            attempts=settings.abuse_attempts,
            principal_attempts=settings.abuse_principal_attempts,
            principal_share=settings.abuse_principal_share,
            hold=timedelta(seconds=settings.abuse_hold),
            volume_hold=timedelta(seconds=settings.volume_hold),
            volume_least=settings.volume_least,
            volume_factor=settings.volume_factor,
        ),
    )


def _receiver(settings: Settings, client: httpx.AsyncClient) -> WebhookReceiver | None:
    if not settings.alert_webhook_url:
        return None
    secret = settings.alert_webhook_secret.get_secret_value()
    return WebhookReceiver(client, settings.alert_webhook_url, secret)


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ValueError("set GYRE_DATABASE_URL: datasets, runs and scores must be kept")
    return settings.database_url


def no_key() -> NotPossible:
    """For a tenant that this service may not ask others for."""
    return NotPossible("evaluation has no key of this tenant: name one in GYRE_EVALUATION_KEYS")
