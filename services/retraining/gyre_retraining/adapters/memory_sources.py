"""The honest twin of the source store: for tests without a database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gyre_retraining.domain.erasure import Erased, textless
from gyre_retraining.domain.settling import latest, settle
from gyre_retraining.domain.sources import (
    ChunkText,
    Judgement,
    RecordedAnswer,
    Review,
    Snapshot,
    StateChange,
)


class MemorySourceStore:
    """`SourceStore` and `JudgementCounts`; forgets everything at its end."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._answers: dict[tuple[str, str], tuple[float, RecordedAnswer]] = {}
        self._judgements: dict[tuple[str, str, str, int], tuple[float, Judgement]] = {}
        self._states: dict[tuple[str, StateChange], float] = {}
        self._reviews: dict[tuple[str, str, str, float], tuple[float, Review]] = {}
        self._chunks: dict[tuple[str, str], tuple[float, ChunkText]] = {}
        self._users: dict[tuple[str, str], float] = {}
        self._documents: dict[tuple[str, str], float] = {}

    async def put_answer(self, tenant: str, answer: RecordedAnswer) -> None:
        how = self._of_answer(tenant, answer)
        key = (tenant, answer.answer_id)
        self._answers.setdefault(key, (self._clock(), how.answer(answer)))
        self._silence(tenant, {answer.answer_id}, how)

    async def put_judgement(self, tenant: str, judgement: Judgement) -> None:
        how = self._of_id(tenant, judgement.answer_id)
        if judgement.rater and judgement.time <= self._erased(tenant, judgement.rater):
            how = Erased.USER
        key = (tenant, judgement.principal, judgement.feedback_id, judgement.revision)
        self._judgements.setdefault(key, (self._clock(), how.judgement(judgement)))

    async def put_state(self, tenant: str, change: StateChange) -> None:
        self._states.setdefault((tenant, change), self._clock())

    async def put_review(self, tenant: str, review: Review) -> None:
        how = self._of_id(tenant, review.answer_id)
        key = (tenant, review.item_id, review.reviewer, review.time)
        self._reviews.setdefault(key, (self._clock(), how.review(review)))

    async def put_chunks(self, tenant: str, chunks: Sequence[ChunkText]) -> None:
        for one in chunks:
            gone = one.revision <= self._documents.get((tenant, one.document_id), -1)
            kept = textless(one) if gone else one
            self._chunks.setdefault((tenant, one.chunk_id), (self._clock(), kept))

    async def erase_user(self, tenant: str, end_user: str, moment: float) -> int:
        self._users[tenant, end_user] = max(moment, self._erased(tenant, end_user))
        mine = {
            one.answer_id
            for (owner, _), (_, one) in self._answers.items()
            if owner == tenant and one.end_user == end_user and one.time <= moment
        }
        self._strip(tenant, mine, Erased.USER)
        for key, (known, said) in self._judgements.items():
            if key[0] == tenant and said.rater == end_user and said.time <= moment:
                self._judgements[key] = (known, Erased.USER.judgement(said))
        return len(mine)

    async def erase_document(self, tenant: str, document_id: str, revision: int) -> int:
        place = (tenant, document_id)
        self._documents[place] = max(revision, self._documents.get(place, -1))
        cut = [
            key
            for key, (_, one) in self._chunks.items()
            if key[0] == tenant and one.document_id == document_id and one.revision <= revision
        ]
        for key in cut:
            known, chunk = self._chunks[key]
            self._chunks[key] = (known, textless(chunk))
        shown = {
            one.answer_id
            for (owner, _), (_, one) in self._answers.items()
            if owner == tenant
            and any(p.document_id == document_id and p.revision <= revision for p in one.passages)
        }
        self._strip(tenant, shown, Erased.DOCUMENT)
        return len(cut) + len(shown)

    async def snapshot(self, tenant: str, as_of: float) -> Snapshot:
        known = partial(_known, tenant=tenant, as_of=as_of)
        changes = [
            one for (owner, one), at in self._states.items() if owner == tenant and at <= as_of
        ]
        return Snapshot(
            tenant=tenant,
            as_of=as_of,
            answers=tuple(sorted(known(self._answers), key=lambda one: one.answer_id)),
            judgements=settle(known(self._judgements), changes),
            reviews=latest(known(self._reviews)),
            chunks=tuple(sorted(known(self._chunks), key=lambda one: one.chunk_id)),
        )

    async def count(self, tenant: str, metrics: frozenset[str]) -> int:
        return len(
            {
                key[:3]
                for key, (_, one) in self._judgements.items()
                if key[0] == tenant and (not metrics or one.metric in metrics)
            }
        )

    async def tenants(self) -> list[str]:
        return sorted({key[0] for key in self._judgements})

    def _erased(self, tenant: str, user: str) -> float:
        return self._users.get((tenant, user), float("-inf"))

    def _of_answer(self, tenant: str, answer: RecordedAnswer) -> Erased:
        if answer.end_user and answer.time <= self._erased(tenant, answer.end_user):
            return Erased.USER
        gone = self._documents
        shown = (one.revision <= gone.get((tenant, one.document_id), -1) for one in answer.passages)
        return Erased.DOCUMENT if any(shown) else Erased.NOTHING

    def _of_id(self, tenant: str, answer_id: str) -> Erased:
        _, answer = self._answers.get((tenant, answer_id), (0.0, None))
        if answer is None or not answer.erased:
            return Erased.NOTHING
        return Erased.DOCUMENT if answer.question else Erased.USER

    def _strip(self, tenant: str, answer_ids: set[str], how: Erased) -> None:
        for name in answer_ids:
            known, answer = self._answers[tenant, name]
            self._answers[tenant, name] = (known, how.answer(answer))
        self._silence(tenant, answer_ids, how)

    def _silence(self, tenant: str, answer_ids: set[str], how: Erased) -> None:
        for key, (known, said) in self._judgements.items():
            if key[0] == tenant and said.answer_id in answer_ids:
                self._judgements[key] = (known, how.judgement(said))
        for place, (known, review) in self._reviews.items():
            if place[0] == tenant and review.answer_id in answer_ids:
                self._reviews[place] = (known, how.review(review))


def _known(rows: Mapping[Any, tuple[float, Any]], *, tenant: str, as_of: float) -> list[Any]:
    return [one for key, (at, one) in rows.items() if key[0] == tenant and at <= as_of]
