"""The only place where everything meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from gyre.feedback.v1.service_pb2_grpc import add_FeedbackServiceServicer_to_server
from gyre_runtime.bus import Bus, Listeners
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer
from gyre_runtime.telemetry import logger

from gyre_feedback.adapters.agreement import krippendorff_alpha
from gyre_feedback.adapters.effects import DatabaseEffects
from gyre_feedback.adapters.feast import FeastFeatureStore
from gyre_feedback.adapters.forgetting import eraser
from gyre_feedback.adapters.judgements import DatabaseJudgements
from gyre_feedback.adapters.metrics import DatabaseMetrics
from gyre_feedback.adapters.reviewing import DatabaseReviews
from gyre_feedback.adapters.tables import MIGRATIONS, metadata
from gyre_feedback.handlers import listeners
from gyre_feedback.ports import Clock, FeatureStore
from gyre_feedback.rpc import DESCRIPTOR, ROLES, Doors, FeedbackServicer
from gyre_feedback.settings import Settings
from gyre_feedback.use_cases.features import ReadFeatures, StreamFeatures
from gyre_feedback.use_cases.judging import BrowseFeedback
from gyre_feedback.use_cases.projecting import Project
from gyre_feedback.use_cases.reviewing import ReviewQueue
from gyre_feedback.use_cases.submit import MeetAnswers, SubmitFeedback
from gyre_feedback.use_cases.transfer import TransferReviews
from gyre_feedback.use_cases.waiting import GiveUp

NAME = "feedback"
_log = logger("gyre.feedback")


def build(
    settings: Settings,
    *,
    features: FeatureStore | None = None,
    database: Database | None = None,
    bus: Bus | None = None,
    clock: Clock = time.time,
) -> Service:
    """The service; what is not given is the real thing."""
    database = database or Database(_url(settings), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, NAME, database=database)
    features = features or _feast(settings)
    parts = Parts(settings, database, features, clock)
    bus.include(parts.listeners())
    return Service(
        settings,
        NAME,
        bus=bus,
        rpc=_rpc(settings, parts.doors()),
        database=database,
        background=parts.background(),
        resources=[_closing(features)],
    )


class Parts:
    """The stories of one process, over one database and one feature store."""

    def __init__(
        self, settings: Settings, database: Database, features: FeatureStore, clock: Clock
    ) -> None:
        self._settings, self._features, self._clock = settings, features, clock
        rules = settings.queue_rules()
        self._metrics = DatabaseMetrics(database)
        self._judgements = DatabaseJudgements(database, clock, reviews=rules.wanted)
        watch = settings.watchfulness()
        self._effects = DatabaseEffects(database, clock, watch, reviews=rules.wanted)
        self._eraser = eraser(database, _told("erasing_failed"))
        self._submit = SubmitFeedback(self._metrics, self._judgements)
        reviews = DatabaseReviews(database, clock, wanted=rules.wanted)
        self._queue = ReviewQueue(reviews, rules, clock, krippendorff_alpha)

    def listeners(self) -> Listeners:
        settings = self._settings
        return listeners(
            self._submit,
            MeetAnswers(self._judgements, settings.queue_rules()),
            self._queue,
            self._judgements,
            at_once=settings.judgements_at_once,
            reviewed=settings.review_metrics,
            forget=self._eraser.begin,
        )

    def doors(self) -> Doors:
        return Doors(
            self._submit,
            BrowseFeedback(self._metrics, self._judgements, self._effects),
            ReadFeatures(self._features),
            self._queue,
            TransferReviews(self._queue, self._clock),
            self._settings.protection(),
        )

    def background(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        settings = self._settings
        project = Project(
            self._effects,
            self._clock,
            settings.protection(),
            settings.watchfulness(),
            settings.queue_rules(),
            pause=settings.projection_pause,
            failed=_told("projection_failed"),
        )
        patience = settings.patience()
        keeping = GiveUp(self._judgements, self._clock, patience, _told("housekeeping_failed"))
        failed = _told("features_failed")
        stream = StreamFeatures(
            self._effects, self._features, pause=settings.features_pause, failed=failed
        )
        streams = [stream.run] if settings.features != "off" else []
        return [project.run, keeping.run, *streams, self._eraser.run]


def _rpc(settings: Settings, doors: Doors) -> RpcServer:
    rpc = RpcServer(settings, service=NAME)
    rpc.add(add_FeedbackServiceServicer_to_server, FeedbackServicer(doors), DESCRIPTOR, roles=ROLES)
    return rpc


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ValueError("set GYRE_DATABASE_URL: feedback must be kept")
    return settings.database_url


def _feast(settings: Settings) -> FeastFeatureStore:
    return FeastFeatureStore(
        settings.features_folder, settings.features_online, timeout=settings.features_timeout
    )


class _Closer:
    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    async def aclose(self) -> None:
        await self._store.close()


def _closing(store: FeatureStore) -> AbstractAsyncContextManager[Any]:
    return aclosing(_Closer(store))


def _told(event: str) -> Any:
    return lambda error: _log.warning(event, error=repr(error))
