"""Two indexes of a collection are asked the same: live searches, and queries with judgements."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence

from gyre_retrieval.domain import comparison
from gyre_retrieval.domain.errors import QueryInvalid
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.query import Answer, Conditions, Mode, Query, Route
from gyre_retrieval.domain.reindex import (
    Judged,
    JudgedComparison,
    Measured,
    Reindex,
    ReindexRefused,
    ReindexState,
    Sample,
)
from gyre_retrieval.ports import Helpfulness, Reindexes
from gyre_retrieval.use_cases.searching import SearchPassages

MOST_QUERIES = 10_000
MOST_SAMPLES = 5_000
WAITING = 8
LOOK_PAUSE = 1.0
TOLD_EVERY = 20


class CompareLive:
    """A share of the live searches is asked of the filled index too, after they were answered.

    Where more of them come than it can ask, they are left out. No query is kept, only numbers.
    failed: told of what went wrong with one of them.
    """

    def __init__(
        self,
        reindexes: Reindexes,
        helpfulness: Helpfulness,
        search: SearchPassages,
        *,
        share: float,
        failed: Callable[[Exception], None],
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._reindexes = reindexes
        self._helpfulness = helpfulness
        self._search = search
        self._share = share
        self._failed = failed
        self._dice = dice
        self._ready: dict[str, Reindex] = {}
        self._waiting: asyncio.Queue[tuple[Query, Answer]] = asyncio.Queue(WAITING)

    def watch(self, query: Query, answer: Answer) -> None:
        """Takes it or leaves it; never waits."""
        if query.conditions.collection not in self._ready or self._dice() >= self._share:
            return
        if Route.DENSE not in query.mode.routes:
            return  # words are found alike in both
        if not self._waiting.full():
            self._waiting.put_nowait((query, answer))

    async def look(self) -> None:
        """Which collections have a filled index, again and again, until cancelled."""
        while True:
            try:
                open_ones = await self._reindexes.open()
                self._ready = {
                    one.collection: one for one in open_ones if one.state is ReindexState.READY
                }
            except Exception as error:
                self._failed(error)
            await asyncio.sleep(LOOK_PAUSE)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            query, answer = await self._waiting.get()
            reindex = self._ready.get(query.conditions.collection)
            if reindex is None or answer.index_version == reindex.index.name:
                continue
            try:
                await self.compare(reindex, query, answer)
            except Exception as error:
                self._failed(error)

    async def compare(self, reindex: Reindex, query: Query, answer: Answer) -> None:
        """Raises what a search raises."""
        other = await self._search.search_in(query, reindex.index)
        ours, theirs = _chunk_ids(answer), _chunk_ids(other)
        known = await self._helpfulness.of(query.conditions.tenant, sorted({*ours, *theirs}))
        judged = comparison.helpfulness(ours, known), comparison.helpfulness(theirs, known)
        both = None not in judged
        sample = Sample(
            comparison.overlap(ours, theirs),
            comparison.correlation(ours, theirs),
            _seconds(answer),
            _seconds(other),
            judged[0] if both else None,
            judged[1] if both else None,
        )
        await self._reindexes.keep_sample(reindex.reindex_id, sample, MOST_SAMPLES)


class CompareJudged:
    """Both indexes answer queries whose relevant passages are known."""

    def __init__(self, reindexes: Reindexes, search: SearchPassages) -> None:
        self._reindexes = reindexes
        self._search = search

    async def compare(
        self, tenant: str, reindex_id: str, queries: Sequence[Judged], mode: Mode
    ) -> AsyncIterator[int | JudgedComparison]:
        """How many are done, now and then; at last the comparison, which is kept.

        One after the other, so that live searches are not slowed. Raises `QueryInvalid`,
        `ReindexUnknown`, `ReindexRefused`, and what a search raises.
        """
        _refuse_bad(queries)
        reindex = await self._reindexes.get(reindex_id)
        if reindex.state not in (ReindexState.READY, ReindexState.SWITCHED):
            raise ReindexRefused(f"there are no two filled indexes: it is {reindex.state}")
        in_use = await self._reindexes.in_use(reindex.collection)
        if in_use is None or in_use == reindex.follower:
            raise ReindexRefused("another index is in use now")
        indexes = in_use, reindex.follower
        conditions = Conditions(tenant, reindex.collection)
        measured = []
        for done, judged in enumerate(queries):
            if done % TOLD_EVERY == 0:
                yield done
            query = Query(judged.query, mode, comparison.DEPTH, conditions)
            measured.append(await self._measured(query, judged.relevant, indexes, done))
        result = await asyncio.to_thread(comparison.judged_comparison, measured, time.time())
        await self._reindexes.keep_judged(reindex_id, result)
        yield result

    async def _measured(
        self, query: Query, relevant: frozenset[str], indexes: tuple[Index, Index], place: int
    ) -> Measured:
        """Each goes first every other time: who goes second finds everything warm."""
        order = (0, 1) if place % 2 == 0 else (1, 0)
        answers = {one: await self._search.search_in(query, indexes[one]) for one in order}
        found = _chunk_ids(answers[0]), _chunk_ids(answers[1])
        first, second = found
        return Measured(
            (
                comparison.reciprocal_rank(first, relevant),
                comparison.reciprocal_rank(second, relevant),
            ),
            (comparison.recall(first, relevant), comparison.recall(second, relevant)),
            (_seconds(answers[0]), _seconds(answers[1])),
        )


def _refuse_bad(queries: Sequence[Judged]) -> None:
    if not 1 <= len(queries) <= MOST_QUERIES:
        raise QueryInvalid({"queries": f"give 1 to {MOST_QUERIES}"})
    without = [place for place, one in enumerate(queries) if not one.relevant]
    if without:
        raise QueryInvalid(
            {f"queries[{place}].relevant_chunk_ids": "give at least one" for place in without[:20]}
        )


def _chunk_ids(answer: Answer) -> list[str]:
    return [hit.passage.chunk.chunk_id for hit in answer.hits[: comparison.DEPTH]]


def _seconds(answer: Answer) -> float:
    return answer.embed_seconds + answer.index_seconds
