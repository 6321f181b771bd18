"""The review queue in the service's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1.events_pb2 import ReviewCompleted
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore, upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_feedback.adapters.review_items import came_of, put_item
from gyre_feedback.adapters.tables import places, review_items, reviews
from gyre_feedback.domain.errors import Missing
from gyre_feedback.domain.reviews import Item, Review, ReviewReason
from gyre_feedback.ports import Clock
from gyre_feedback.wire import answer_from, answer_to, stamp

_PAGE = 200
_REVIEW = ("claim_end_time", "complete_time", "declined", "labels", "correction", "comment")


class DatabaseReviews:
    """`Reviews`. wanted: reviews that an item wants."""

    def __init__(self, database: Database, clock: Clock, *, wanted: int) -> None:
        self._database, self._clock, self._wanted = database, clock, wanted

    async def add(self, tenant: str, answer_id: str, reason: ReviewReason) -> Item:
        query = sa.select(places).where(places.c.tenant == tenant, places.c.place == answer_id)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            found = (await connection.execute(query)).one_or_none()
            if found is None or found.about is None:
                raise Missing(f"answer '{answer_id}' is not known here")
            now = self._clock()
            item_id = await put_item(connection, tenant, came_of(found), reason, self._wanted, now)
            return await _item(connection, tenant, item_id)

    async def bring(self, tenant: str, item: Item, given: Sequence[Review]) -> tuple[bool, int]:
        row = _row(tenant, item)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            made = await connection.execute(insert_ignore(connection, review_items), row)
            known = {one.reviewer: one for one in await _reviews(connection, tenant, item.item_id)}
            changed = [one for one in given if _differs(one, known.get(one.reviewer))]
            for review in changed:
                await self._put(connection, tenant, review)
            await _count(connection, tenant, item.item_id)
        return bool(made.rowcount), len(changed)

    async def claim(
        self, tenant: str, reviewer: str, reason: ReviewReason | None, until: float
    ) -> Item | None:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            query = _open_items(tenant, reviewer, self._clock())
            for row in await connection.execute(query):
                if reason is None or reason in row.reasons:
                    claim = _claim(tenant, row.item_id, reviewer, until)
                    put = upsert(connection, reviews, ["claim_end_time"])
                    await connection.execute(put, claim)
                    return _item_of(row)
        return None

    async def complete(self, tenant: str, review: Review) -> Item:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            item = await _item(connection, tenant, review.item_id)
            await self._put(connection, tenant, review)
            await _count(connection, tenant, review.item_id)
            transaction.say(_completed(item, review), tenant=tenant, entity_id=item.answer_id)
            return await _item(connection, tenant, review.item_id)

    async def all(
        self, tenant: str, *, only_done: bool
    ) -> AsyncIterator[tuple[Item, Sequence[Review]]]:
        after = ""
        while True:
            query = sa.select(review_items).where(
                review_items.c.tenant == tenant, review_items.c.item_id > after
            )
            if only_done:
                query = query.where(review_items.c.review_count >= review_items.c.wanted)
            async with self._database.reading() as connection:
                page = (
                    await connection.execute(query.order_by(review_items.c.item_id).limit(_PAGE))
                ).all()
                found = [
                    (_item_of(row), await _reviews(connection, tenant, row.item_id)) for row in page
                ]
            for item, said in found:
                yield item, said
            if len(page) < _PAGE:
                return
            after = page[-1].item_id

    async def counts(self, tenant: str) -> tuple[int, int]:
        done = review_items.c.review_count >= review_items.c.wanted
        query = sa.select(
            sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((done, 1), else_=0)), 0)
        ).where(review_items.c.tenant == tenant)
        async with self._database.reading() as connection:
            total, finished = (await connection.execute(query)).one()
        return int(total - finished), int(finished)

    async def reviews(self, tenant: str) -> Sequence[Review]:
        query = sa.select(reviews).where(
            reviews.c.tenant == tenant, reviews.c.complete_time.is_not(None)
        )
        async with self._database.reading() as connection:
            return [_review(row) for row in await connection.execute(query)]

    async def _put(self, connection: AsyncConnection, tenant: str, review: Review) -> None:
        done = review.complete_time
        row = {
            "tenant": tenant,
            "item_id": review.item_id,
            "reviewer": review.reviewer,
            "claim_end_time": 0.0,
            "complete_time": done.timestamp() if done else self._clock(),
            "declined": review.declined,
            "labels": dict(review.labels),
            "correction": review.correction,
            "comment": review.comment,
        }
        await connection.execute(upsert(connection, reviews, list(_REVIEW)), row)


def _open_items(tenant: str, reviewer: str, now: float) -> sa.Select[Any]:
    """Items that want a review beside those that are claimed, best first; not the reviewer's own
    done ones. On PostgreSQL two reviewers at the same time get two items."""
    mine = reviews.alias()
    others = sa.select(sa.func.count()).where(
        reviews.c.tenant == review_items.c.tenant,
        reviews.c.item_id == review_items.c.item_id,
        reviews.c.reviewer != reviewer,
        reviews.c.complete_time.is_(None),
        reviews.c.claim_end_time > now,
    )
    done = sa.exists().where(
        mine.c.tenant == review_items.c.tenant,
        mine.c.item_id == review_items.c.item_id,
        mine.c.reviewer == reviewer,
        mine.c.complete_time.is_not(None),
    )
    wanting = review_items.c.review_count + others.scalar_subquery() < review_items.c.wanted
    return (
        sa.select(review_items)
        .where(review_items.c.tenant == tenant, wanting, sa.not_(done))
        .order_by(review_items.c.priority.desc(), review_items.c.add_time, review_items.c.item_id)
        .limit(_PAGE)
        .with_for_update(skip_locked=True)
    )


async def _count(connection: AsyncConnection, tenant: str, item_id: str) -> None:
    """Declined ones do not count: somebody else is asked."""
    done = (
        sa.select(sa.func.count())
        .where(reviews.c.tenant == tenant, reviews.c.item_id == item_id)
        .where(reviews.c.complete_time.is_not(None), sa.not_(reviews.c.declined))
    )
    await connection.execute(
        review_items.update()
        .where(review_items.c.tenant == tenant, review_items.c.item_id == item_id)
        .values(review_count=done.scalar_subquery())
    )


async def _item(connection: AsyncConnection, tenant: str, item_id: str) -> Item:
    query = sa.select(review_items).where(
        review_items.c.tenant == tenant, review_items.c.item_id == item_id
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise Missing(f"there is no review item '{item_id}'")
    return _item_of(row)


async def _reviews(connection: AsyncConnection, tenant: str, item_id: str) -> Sequence[Review]:
    query = (
        sa.select(reviews)
        .where(reviews.c.tenant == tenant, reviews.c.item_id == item_id)
        .where(reviews.c.complete_time.is_not(None))
        .order_by(reviews.c.reviewer)
    )
    return [_review(row) for row in await connection.execute(query)]


def _item_of(row: Any) -> Item:
    return Item(
        item_id=row.item_id,
        answer_id=row.answer_id,
        reasons=tuple(ReviewReason(one) for one in row.reasons),
        question=row.question,
        text=row.text,
        about=answer_from(pb.JudgedAnswer.FromString(row.about)),
        wanted=row.wanted,
        review_count=row.review_count,
        add_time=datetime.fromtimestamp(row.add_time, UTC),
        priority=row.priority,
    )


def _row(tenant: str, item: Item) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "item_id": item.item_id,
        "answer_id": item.answer_id,
        "reasons": list(item.reasons),
        "question": item.question,
        "text": item.text,
        "about": answer_to(item.about).SerializeToString(deterministic=True),
        "wanted": item.wanted,
        "review_count": 0,
        "priority": item.priority,
        "add_time": item.add_time.timestamp(),
    }


def _claim(tenant: str, item_id: str, reviewer: str, until: float) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "item_id": item_id,
        "reviewer": reviewer,
        "claim_end_time": until,
        "complete_time": None,
        "declined": False,
        "labels": {},
        "correction": "",
        "comment": "",
    }


def _review(row: Any) -> Review:
    return Review(
        row.item_id,
        row.reviewer,
        row.declined,
        row.labels,
        row.correction,
        row.comment,
        datetime.fromtimestamp(row.complete_time, UTC),
    )


def _differs(new: Review, known: Review | None) -> bool:
    if known is None:
        return True
    said = (new.declined, dict(new.labels), new.correction, new.comment)
    return said != (known.declined, dict(known.labels), known.correction, known.comment)


def _completed(item: Item, review: Review) -> ReviewCompleted:
    return ReviewCompleted(
        item_id=item.item_id,
        answer_id=item.answer_id,
        reviewer=review.reviewer,
        declined=review.declined,
        labels={name: f'"{choice}"' for name, choice in review.labels.items()},
        correction=review.correction,
        complete_time=stamp(review.complete_time),
    )
