"""Live answers for tests, and the stories over a real database."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from google.protobuf.message import Message
from gyre.evaluation.v1 import events_pb2
from gyre.inference.v1.answer_pb2 import ChatMessage, FinishReason
from gyre.inference.v1.events_pb2 import AnswerRecord, RetrievedChunk
from gyre_evaluation.adapters.live.store import DatabaseLiveStore
from gyre_evaluation.adapters.tables import MIGRATIONS, metadata
from gyre_evaluation.domain.live import LiveAnswer
from gyre_evaluation.domain.metrics.metric import Score, Source
from gyre_evaluation.ports import Measured, ScoringUnavailable
from gyre_evaluation.use_cases.live import HearAnswers, LivePolicy
from gyre_evaluation.use_cases.live_scoring import ScoreLiveAnswers
from gyre_evaluation.wire.live import live_answer
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import create_async_engine

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def record(number: int = 1, question: str = "How do I cancel?", **facts: Any) -> AnswerRecord:
    """An answer that was given, of the tenant's only backend."""
    known: dict[str, Any] = {
        "answer_id": f"answer-{number:06}",
        "principal": "shop",
        "workload": "answer",
        "collection": "manuals",
        "question": question,
        "completion": "You cancel in the app. [1]",
        "finish_reason": FinishReason.FINISH_REASON_STOP,
        "prompt_name": "answer",
        "prompt_version": "3",
        "model": "reader",
        "model_version": "abcdef0123456789",
        "messages": [ChatMessage(role="system", content="Answer from the sentences.")],
        "retrieved_chunks": [RetrievedChunk(chunk_id="c1", rank=1, score=0.8)],
    }
    time = facts.pop("time", NOON)
    made = AnswerRecord(**{**known, **facts})
    made.request_time.FromDatetime(time)
    return made


def answer(number: int = 1, question: str = "How do I cancel?", **facts: Any) -> LiveAnswer:
    return live_answer(record(number, question, **facts), "acme")


def vector_of(text: str) -> bytes:
    """Words thrown into 64 bins, of unit length."""
    bins = np.full(64, 1e-3)
    for word in text.lower().split():
        bins[int(hashlib.md5(word.encode()).hexdigest(), 16) % 64] += 1.0
    unit: bytes = (bins / np.linalg.norm(bins)).astype("<f4").tobytes()
    return unit


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database]:
    """An empty database of the service. kind: `sqlite` or `postgres`."""
    url = f"sqlite+aiosqlite:///{folder}/evaluation.db" if kind == "sqlite" else await _postgres()
    database = Database(url, metadata, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


async def _postgres() -> str:
    url = os.environ.get("GYRE_TEST_POSTGRES_URL")
    if url is None:
        pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))
    await engine.dispose()
    return url


@dataclass
class Words:
    """`QuestionVectors` by words; says no when it is away."""

    away: bool = False

    async def vectors(self, tenant: str, texts: Sequence[str]) -> list[bytes]:
        if self.away:
            raise ScoringUnavailable("switched off")
        return [vector_of(text) for text in texts]


@dataclass
class Lengths:
    """`LiveScorer`: how many words an answer has; says no when it is away."""

    away: bool = False
    metric: str = "answer_words"
    source: Source = Source.RULE
    asked: list[str] = field(default_factory=list)

    async def score(self, answer: LiveAnswer) -> Measured:
        if self.away:
            raise ScoringUnavailable("switched off")
        self.asked.append(answer.answer_id)
        value = float(len(answer.completion.split()))
        return Measured((Score(self.metric, value, self.source),), "en")


@dataclass
class World:
    """The stories of live answers over a database that was started."""

    database: Database
    policy: LivePolicy = field(default_factory=lambda: LivePolicy(share=1.0))
    rules: Lengths = field(default_factory=Lengths)
    judges: Lengths | None = None
    vectors: Words = field(default_factory=Words)
    now: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=1))

    @property
    def store(self) -> DatabaseLiveStore:
        return DatabaseLiveStore(self.database)

    @property
    def scoring(self) -> ScoreLiveAnswers:
        return ScoreLiveAnswers(
            self.store, self.rules, self.judges, self.vectors, self.policy, lambda: self.now
        )

    async def hear(
        self,
        *records: AnswerRecord,
        tenant: str = "acme",
        statuses: Mapping[int, str] | None = None,
    ) -> int:
        """Alerts that were raised. statuses: of those that failed, by their place from 1."""
        hear, raised = HearAnswers(self.store, self.policy), 0
        for place, one in enumerate(records, start=1):
            status = (statuses or {}).get(place, "")
            heard = live_answer(one, tenant, status)
            raised += await hear(heard, one.SerializeToString(), status)
        return raised

    async def said(self, name: str) -> list[Any]:
        """Events of this name, as they lie in the outbox."""
        outbox = self.database.tables.outbox
        query = sa.select(outbox.c.headers, outbox.c.body).order_by(outbox.c.position)
        async with self.database.reading() as connection:
            rows = (await connection.execute(query)).all()
        kind: type[Message] = getattr(events_pb2, name)
        wanted = f"gyre.evaluation.v1.{name}"
        return [kind.FromString(row.body) for row in rows if _type(row.headers) == wanted]


def _type(headers: Mapping[str, str]) -> str:
    return headers["ce-type"]
