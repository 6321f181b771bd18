"""Feedback on a database of its own; time stands still unless a test moves it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from gyre_feedback.adapters.agreement import krippendorff_alpha
from gyre_feedback.adapters.effects import DatabaseEffects
from gyre_feedback.adapters.judgements import DatabaseJudgements
from gyre_feedback.adapters.metrics import DatabaseMetrics
from gyre_feedback.adapters.reviewing import DatabaseReviews
from gyre_feedback.adapters.tables import MIGRATIONS, metadata
from gyre_feedback.domain.answers import AnswerCame, JudgedAnswer
from gyre_feedback.domain.judgements import Judgement, Kept, Source, Target
from gyre_feedback.domain.metrics import Level, Metric, MetricType, Value
from gyre_feedback.domain.reviews import QueueRules
from gyre_feedback.domain.scores import EntityKind, Protection, Score
from gyre_feedback.domain.suspicion import Watchfulness
from gyre_feedback.use_cases.judging import BrowseFeedback
from gyre_feedback.use_cases.projecting import Project
from gyre_feedback.use_cases.reviewing import ReviewQueue
from gyre_feedback.use_cases.submit import MeetAnswers, SubmitFeedback
from gyre_feedback.use_cases.transfer import TransferReviews
from gyre_feedback.use_cases.waiting import GiveUp, Patience
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import create_async_engine

DAY = 86_400.0
TENANT = "acme"


class World:
    """The service without its doors."""

    def __init__(self, database: Database, **rules: Any) -> None:
        self.now = 1_800_000_000.0
        self.database = database
        self.watch = Watchfulness(**rules)
        self.rules = QueueRules(sample=0.0)
        self.protection = Protection()
        self.metrics = DatabaseMetrics(database)
        self.judgements = DatabaseJudgements(database, self.clock, reviews=2)
        self.effects = DatabaseEffects(database, self.clock, self.watch, reviews=2)
        self.reviews = DatabaseReviews(database, self.clock, wanted=2)
        self.browse = BrowseFeedback(self.metrics, self.judgements, self.effects)
        self.submitting = SubmitFeedback(self.metrics, self.judgements)
        self.meeting = MeetAnswers(self.judgements, self.rules)
        self.queue = ReviewQueue(self.reviews, self.rules, self.clock, krippendorff_alpha)
        self.transfer = TransferReviews(self.queue, self.clock)
        self.failures: list[Exception] = []
        self.project = Project(
            self.effects,
            self.clock,
            self.protection,
            self.watch,
            self.rules,
            pause=0.01,
            failed=self.failures.append,
        )
        patience = Patience(7 * DAY, 90 * DAY, 0.01)
        self.give_up = GiveUp(self.judgements, self.clock, patience, self.failures.append)

    def clock(self) -> float:
        return self.now

    async def declare(self, name: str = "helpful", **given: Any) -> Metric:
        given = {"type": MetricType.BOOLEAN, **given}
        return await self.browse.declare(TENANT, Metric(name, **given))

    async def judge(
        self,
        feedback_id: str,
        value: Value | None = True,
        *,
        answer_id: str = "a-1",
        who: str = "shop",
        rater: str = "",
        revision: int = 1,
        metric: str = "helpful",
        **given: Any,
    ) -> Kept:
        """Time passes a little with each."""
        self.now += 0.001
        target = Target(answer_id, **given)
        source = Source(rater=rater)
        judgement = Judgement(feedback_id, revision, target, metric, value, source)
        return await self.submitting.submit(TENANT, who, judgement)

    async def answer(self, answer_id: str = "a-1", **given: Any) -> int:
        return await self.meeting.meet(TENANT, answer(answer_id, **given))

    async def kept(self, feedback_id: str, who: str = "shop") -> Kept:
        found = await self.judgements.get((TENANT, who, feedback_id))
        assert found is not None
        return found

    async def score(
        self,
        entity_id: str = "answer/1",
        kind: EntityKind = EntityKind.PROMPT,
        metric: str = "helpful",
    ) -> Score:
        """After all effects are computed; where nothing counts, what a score starts with."""
        await self.project.all()
        found, _ = await self.browse.scores(TENANT, kind, entity_id, metric, 10, "")
        return found[0][1] if found else Score(0.5, 0.5, 0, 0, 0, 0.0)

    async def said(self, event: str) -> list[str]:
        """Ids of what was said, by the event's name in subjects."""
        outbox = self.database.tables.outbox
        query = sa.select(outbox.c.event_id).where(outbox.c.subject.contains(f".{event}."))
        async with self.database.reading() as connection:
            return list(await connection.scalars(query.order_by(outbox.c.position)))


def answer(answer_id: str, **given: Any) -> AnswerCame:
    about = JudgedAnswer(
        answer_id,
        chain_run_id=f"run-{answer_id}",
        prompt_name="answer",
        prompt_version="1",
        model="reader",
        model_version="7",
        collection="help",
        chunks={"c-1": "d-1", "c-2": "d-2"},
    )
    return AnswerCame(replace(about, **given), "What does it cost?", "Five pounds [1].")


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Empty. PostgreSQL: one of yours, which is emptied again."""
    url = "sqlite+aiosqlite://"
    if request.param == "postgres":
        url = os.environ.get("GYRE_TEST_POSTGRES_URL", "")
        if not url:
            pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
        await _empty(url)
    made = Database(url, metadata, migrations=MIGRATIONS)
    await made.start()
    yield made
    await made.stop()
    if request.param == "postgres":
        await _empty(url)


async def _empty(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))
    await engine.dispose()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = World(database)
    await made.declare()
    await made.declare("useful", level=Level.CHUNK)
    yield made
    assert made.failures == []


@pytest.fixture
def make_answer() -> Callable[..., AnswerCame]:
    return answer


@pytest.fixture
def make_world() -> Callable[..., World]:
    return World
