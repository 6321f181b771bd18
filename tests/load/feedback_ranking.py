"""Does what people thought of passages improve search? FeedbackQA, UK and CDC.

    python -m tests.load.feedback_ranking [--memory]

315 questions, each with three passages that two people rated (Bad to Excellent), are replayed as
answers and chunk feedback through the feedback service's own stories. Retrieval then ranks other
questions with the helpfulness that came of it. The weight of the signal is chosen on 500 questions
of the training split and reported on those of the validation split, which nothing else saw:
MRR@10 with and without the signal, and the paired bootstrap interval of the difference. Passages,
vectors and routes are those of `retrieval_quality.py`; `--memory` counts BM25 here, with the same
terms and parameters, in place of a Milvus Lite server.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from gyre_feedback.adapters.effects import DatabaseEffects
from gyre_feedback.adapters.judgements import DatabaseJudgements
from gyre_feedback.adapters.metrics import DatabaseMetrics
from gyre_feedback.adapters.tables import metadata
from gyre_feedback.domain.answers import AnswerCame, JudgedAnswer
from gyre_feedback.domain.judgements import Judgement, Source, Target
from gyre_feedback.domain.metrics import Category, Level, Metric, MetricType
from gyre_feedback.domain.reviews import QueueRules
from gyre_feedback.domain.scores import EntityKind, Protection
from gyre_feedback.domain.suspicion import Watchfulness
from gyre_feedback.use_cases.projecting import Project
from gyre_feedback.use_cases.submit import MeetAnswers, SubmitFeedback
from gyre_local.milvus import MilvusServer, MilvusSettings
from gyre_retrieval.adapters.memory import MemoryVectorIndex
from gyre_retrieval.adapters.milvus import IndexSettings, MilvusVectorIndex
from gyre_retrieval.domain.helpfulness import lifted
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.query import Conditions, Found, Hit, Mode, Route
from gyre_retrieval.domain.ranking import Fusion, hits_of, in_order
from gyre_retrieval.domain.terms import passage_terms, query_terms
from gyre_retrieval.domain.vector import Vector
from gyre_retrieval.settings import Settings
from gyre_runtime.database import Database

from tests.load.report import Report, parser
from tests.load.retrieval_quality import (
    CACHE,
    DATA,
    Set,
    current_fusion,
    feedbackqa,
    indexed,
    lines,
    routes,
)

RATINGS = ("Bad", "Could be Improved", "Acceptable", "Excellent")
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
TENANT, METRIC = "replay", "answers_it"
WEEKS = 14 * 86_400.0
DRAWS = 10_000
CUTOFF = 10
Runs = Mapping[Route, Mapping[str, list[Found]]]


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--memory", action="store_true", help="without a Milvus Lite server")
    memory = arguments.parse_args().memory
    report = Report("feedback_ranking")
    asyncio.run(measured(report, memory=memory))
    report.save()


async def measured(report: Report, *, memory: bool) -> None:
    rows = list(lines(DATA / "fb_feedbackqa" / "feedback.jsonl"))
    helpful = await replayed(rows)
    report.notes.append(
        f"{len(rows)} rated passages, {len(helpful)} with a helpfulness; "
        f"{'BM25 counted in memory' if memory else 'Milvus Lite'}"
    )
    async with opened(memory=memory) as index:
        for one in feedbackqa():
            search = await indexed(one, index)
            parts = {
                tuning: await routes(
                    one, search, [ask for ask in one.questions if ask.tuning is tuning]
                )
                for tuning in (True, False)
            }
            tell(report, one, parts, helpful)


@asynccontextmanager
async def opened(*, memory: bool) -> AsyncIterator[Any]:
    """An empty index."""
    settings = Settings()
    if memory:
        yield CountedIndex(settings.bm25_k1, settings.bm25_b)
        return
    with MilvusServer(MilvusSettings(CACHE / f"milvus-{time.time_ns()}")) as server:
        parameters = IndexSettings("FLAT", settings.bm25_k1, settings.bm25_b)
        async with MilvusVectorIndex(server.uri, timeout=60.0, settings=parameters) as index:
            yield index


class CountedIndex(MemoryVectorIndex):
    """The twin, for many questions: words are counted once, vectors are one matrix."""

    def __init__(self, k1: float, b: float) -> None:
        super().__init__()
        self._k1, self._b = k1, b
        self._words: dict[str, tuple[dict[str, dict[int, int]], np.ndarray]] = {}
        self._matrices: dict[str, np.ndarray] = {}

    async def search(
        self,
        index: Index,
        route: Route,
        probe: Vector | str,
        conditions: Conditions,
        limit: int,
    ) -> list[Found]:
        rows = self._rows(index)
        if index.name not in self._matrices:
            self._matrices[index.name] = np.stack([row.vector for row in rows])
            self._words[index.name] = self._counted([passage_terms(row.passage) for row in rows])
        if isinstance(probe, str):
            scores = self._bm25(*self._words[index.name], query_terms(probe))
        else:
            scores = self._matrices[index.name] @ probe
        best = np.argsort(-scores, kind="stable")[:limit]
        shared = [at for at in best if scores[at] > 0 or route is Route.DENSE]
        return in_order(Found(rows[at].passage, float(scores[at])) for at in shared)

    def _counted(
        self, passages: Sequence[list[str]]
    ) -> tuple[dict[str, dict[int, int]], np.ndarray]:
        postings: dict[str, dict[int, int]] = {}
        lengths = np.zeros(len(passages))
        for at, terms in enumerate(passages):
            lengths[at] = len(terms)
            for term, count in Counter(terms).items():
                postings.setdefault(term, {})[at] = count
        return postings, lengths

    def _bm25(
        self, postings: dict[str, dict[int, int]], lengths: np.ndarray, terms: Sequence[str]
    ) -> np.ndarray:
        scores = np.zeros(len(lengths))
        room = self._k1 * (1 - self._b + self._b * lengths / lengths.mean())
        for term in terms:
            found = postings.get(term, {})
            places = np.fromiter(found.keys(), dtype=int, count=len(found))
            counts = np.fromiter(found.values(), dtype=float, count=len(found))
            rare = np.log(1 + (len(lengths) - len(found) + 0.5) / (len(found) + 0.5))
            scores[places] += rare * counts * (self._k1 + 1) / (counts + room[places])
        return scores


async def replayed(rows: Sequence[dict]) -> Mapping[str, float]:
    """Passage -> helpfulness, from ratings given long ago by as many accounts as there are."""
    database = Database("sqlite+aiosqlite://", metadata)
    await database.start()
    now = time.time()
    clock = lambda: now  # noqa: E731
    judgements = DatabaseJudgements(database, clock, reviews=1)
    watch, rules = Watchfulness(flood_size=10**9), QueueRules(sample=0.0)
    effects = DatabaseEffects(database, clock, watch, reviews=1)
    metrics = DatabaseMetrics(database)
    await metrics.declare(
        TENANT, Metric(METRIC, MetricType.CATEGORY, Level.CHUNK, categories=RATINGS)
    )
    submit, meet = SubmitFeedback(metrics, judgements), MeetAnswers(judgements, rules)
    for row in rows:
        about = JudgedAnswer(row["id"], chunks={row["passage"]: row["passage"]})
        await meet.meet(TENANT, AnswerCame(about, row["question"], ""))
        for number, rating in enumerate(row["ratings"]):
            await submit.submit(
                TENANT,
                "replay",
                Judgement(
                    f"{row['id']}-{number}",
                    1,
                    Target(row["id"], chunk_id=row["passage"]),
                    METRIC,
                    Category(rating),
                    Source(rater=f"{row['id']}-{number}"),
                ),
            )
    project = Project(effects, clock, Protection(), watch, rules, pause=0.0, failed=_raise)
    await project.all()
    now += WEEKS
    await project.age()
    while await effects.aging(now - 3600.0, 1):
        await project.age()
    found = await effects.scores(TENANT, EntityKind.CHUNK, "", METRIC, "", 10_000)
    await database.stop()
    return {entity.entity_id: score.score for entity, score in found}


def tell(
    report: Report, one: Set, parts: Mapping[bool, Runs], helpful: Mapping[str, float]
) -> None:
    fusion = current_fusion()
    tuned = {weight: mean(one, parts[True], fusion, helpful, weight) for weight in WEIGHTS}
    best = max(WEIGHTS, key=lambda weight: (tuned[weight], -weight))
    before = reciprocals(one, parts[False], fusion, helpful, 0.0)
    report.notes.append(
        f"{one.name}: weight {best:g} is chosen by the tuning part's MRR@10, "
        + json.dumps({str(weight): round(value, 4) for weight, value in tuned.items()})
    )
    for weight in sorted({best or 1.0, 1.0, 4.0}):
        after = reciprocals(one, parts[False], fusion, helpful, weight)
        low, high = interval(after - before)
        name = f"{one.name}, weight {weight:g}" + (" (chosen)" if weight == best else "")
        report.add(
            f"{name}: MRR@10",
            round(float(after.mean()), 4),
            "",
            peer=round(float(before.mean()), 4),
        )
        report.add(
            f"{name}: difference, 95 % {low:+.4f} to {high:+.4f}",
            round(float((after - before).mean()), 4),
            "",
            goal="interval above 0",
            reached=low > 0,
        )


def mean(one: Set, run: Runs, fusion: Fusion, helpful: Mapping[str, float], weight: float) -> float:
    return float(reciprocals(one, run, fusion, helpful, weight).mean())


def reciprocals(
    one: Set, run: Runs, fusion: Fusion, helpful: Mapping[str, float], weight: float
) -> np.ndarray:
    """Reciprocal rank of each question's passage among the first ten; 0 where it is not there."""
    answers = {ask.question_id: ask.answers for ask in one.questions}
    found = []
    for ask in run[Route.DENSE]:
        hits = hits_of(Mode.HYBRID, {route: run[route][ask] for route in Route}, fusion)
        order = list(dict.fromkeys(document for document, _ in ranked(hits, helpful, weight)))
        places = [at for at, name in enumerate(order[:CUTOFF], 1) if name in answers[ask]]
        found.append(1.0 / places[0] if places else 0.0)
    return np.array(found)


def ranked(hits: list[Hit], helpful: Mapping[str, float], weight: float) -> list[tuple[str, float]]:
    """A passage of the set may be cut into several chunks here: all have its helpfulness."""
    known = {
        hit.passage.chunk.chunk_id: helpful[hit.passage.document.document_id]
        for hit in hits
        if hit.passage.document.document_id in helpful
    }
    moved = lifted(hits, known, weight) if weight else hits
    return [(hit.passage.document.document_id, hit.score) for hit in moved]


def interval(differences: np.ndarray) -> tuple[float, float]:
    """95 %, by paired bootstrap over questions."""
    chance = np.random.default_rng(1)
    draws = chance.integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _raise(error: Exception) -> None:
    raise error


if __name__ == "__main__":
    main()
