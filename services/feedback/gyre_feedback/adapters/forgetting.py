"""A person is forgotten: words and names go, from answers, judgements, accounts and reviews."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1.events_pb2 import (
    FeedbackForgotten,
    FeedbackRecorded,
    FeedbackSubmitted,
    ReviewCompleted,
)
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.tombstones import Tombstones
from gyre_runtime.erasing import Concerned, Eraser, Erasure, says
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_feedback.adapters.rows import is_key, judgement_of
from gyre_feedback.adapters.tables import (
    accounts,
    feedback,
    places,
    review_items,
    reviews,
    votes,
)
from gyre_feedback.domain.forgetting import nameless_account, nobodys, wordless
from gyre_feedback.domain.judgements import Judgement
from gyre_feedback.wire import answer_from, answer_to, judgement_to

AT_ONCE = 200


class Forgetting:
    """What was to be forgotten, for those who write; inside of their transactions."""

    def __init__(self, database: Database) -> None:
        self._tombstones = Tombstones(database)

    async def until(self, connection: AsyncConnection, tenant: str, subject: str) -> float:
        """Up to when what was said by or to this person, or about this answer, is to be forgotten;
        0.0 for nothing."""
        return await self._tombstones.until(connection, tenant, subject)

    async def late(
        self, connection: AsyncConnection, tenant: str, judgement: Judgement, moment: float
    ) -> bool:
        """Of its rater, or about an answer to somebody who was forgotten."""
        about = judgement.source.rater, answer_key(judgement.target.place)
        return moment <= await self._tombstones.until(connection, tenant, *about)

    async def account(
        self, connection: AsyncConnection, tenant: str, principal: str, rater: str
    ) -> str:
        """The account of a rater who was forgotten."""
        mark = await self._tombstones.mark(connection, tenant, rater)
        return nameless_account(principal, mark)

    async def bury(
        self, connection: AsyncConnection, tenant: str, named: Sequence[str], until: float
    ) -> None:
        """Answers to somebody who was forgotten: what is said about them comes without words."""
        for place in named:
            await self._tombstones.put(connection, tenant, answer_key(place), until)

    async def silence(
        self, connection: AsyncConnection, tenant: str, named: Sequence[str], until: float
    ) -> int:
        """Takes the words out of what was said about these answers; how many judgements."""
        count = 0
        for start in range(0, len(named), AT_ONCE):
            about = feedback.c.place.in_(named[start : start + AT_ONCE])
            count += await self._strip(
                connection, sa.and_(feedback.c.tenant == tenant, about), until
            )
        return count

    async def silence_rater(
        self, connection: AsyncConnection, tenant: str, rater: str, until: float
    ) -> int:
        """Takes words and name out of what this person said; how many judgements."""
        own = feedback.c.account == feedback.c.principal + f"/{rater}"
        mine = sa.and_(feedback.c.tenant == tenant, own)
        principals = sa.select(feedback.c.principal).where(mine).distinct()
        named = list(await connection.scalars(principals))
        count = await self._strip(connection, mine, until)
        for principal in named:
            new = await self.account(connection, tenant, principal, rater)
            await _rename(connection, tenant, f"{principal}/{rater}", new)
        return count

    async def _strip(
        self, connection: AsyncConnection, where: sa.ColumnElement[bool], until: float
    ) -> int:
        columns = (feedback.c.tenant, feedback.c.principal, feedback.c.feedback_id)
        query = sa.select(*columns, feedback.c.receive_time, feedback.c.body).where(where)
        count = 0
        for row in (await connection.execute(query.with_for_update())).all():
            judgement = judgement_of(row.body)
            if moment_of(judgement, row.receive_time) <= until:
                count += 1
                bare = wordless(judgement)
                values = {"body": body_of(bare), "fingerprint": bare.fingerprint}
                here = is_key((row.tenant, row.principal, row.feedback_id))
                await connection.execute(feedback.update().where(here).values(**values))
        return count


def answer_key(place: str) -> str:
    return f"answer\n{place}"


def moment_of(judgement: Judgement, otherwise: float) -> float:
    """When it was said."""
    return judgement.give_time.timestamp() if judgement.give_time else otherwise


def body_of(judgement: Judgement) -> bytes:
    return judgement_to(judgement).SerializeToString(deterministic=True)


def eraser(database: Database, failed: Callable[[Exception], None]) -> Eraser:
    forgetting = Forgetting(database)

    async def erase(transaction: Transaction, wanted: Erasure) -> Mapping[str, int]:
        connection, tenant, until = transaction.connection, wanted.tenant, wanted.until
        named = await _answers(connection, wanted)
        await forgetting.bury(connection, tenant, named, until)
        items, said = await _unqueue(connection, tenant, named)
        about = await forgetting.silence(connection, tenant, named, until)
        own = await forgetting.silence_rater(connection, tenant, wanted.subject, until)
        return {
            "answers": len(named),
            "review_items": items,
            "reviews": said,
            "judgements_about": about,
            "judgements": own,
        }

    async def recorded(_: AsyncConnection, event: FeedbackRecorded, wanted: Erasure) -> bool:
        people = event.answer.end_user, event.feedback.source.rater
        return wanted.subject in people and _seconds(event.record_time) <= wanted.until

    async def submitted(
        connection: AsyncConnection, event: FeedbackSubmitted, wanted: Erasure
    ) -> bool:
        target = event.feedback.target
        place = target.answer_id or target.chain_run_id
        if event.feedback.source.rater == wanted.subject:
            return True
        about = await forgetting.until(connection, wanted.tenant, answer_key(place))
        return wanted.until <= about

    async def reviewed(
        connection: AsyncConnection, event: ReviewCompleted, wanted: Erasure
    ) -> bool:
        key = answer_key(event.answer_id)
        return wanted.until <= await forgetting.until(connection, wanted.tenant, key)

    concerned: Concerned = {
        FeedbackRecorded: recorded,
        FeedbackSubmitted: submitted,
        ReviewCompleted: reviewed,
    }
    return Eraser(database, erase, says(FeedbackForgotten), concerned, failed=failed)


async def _answers(connection: AsyncConnection, wanted: Erasure) -> list[str]:
    """Places of the person's answers; their texts are gone."""
    here = [places.c.tenant == wanted.tenant, places.c.about.is_not(None)]
    if connection.dialect.name == "sqlite":  # else every answer of the tenant is looked at
        here.append(sa.func.instr(places.c.about, wanted.subject.encode()) > 0)
    query = sa.select(places.c.place, places.c.about, places.c.come_time).where(*here)
    found: list[str] = []
    for row in (await connection.execute(query)).all():
        answer = answer_from(pb.JudgedAnswer.FromString(row.about))
        asked = answer.request_time.timestamp() if answer.request_time else row.come_time
        if answer.end_user == wanted.subject and asked <= wanted.until:
            found.append(row.place)
            about = answer_to(nobodys(answer)).SerializeToString(deterministic=True)
            mine = places.c.tenant == wanted.tenant, places.c.place == row.place
            bare = {"about": about, "question": "", "text": ""}
            await connection.execute(places.update().where(*mine).values(**bare))
    return sorted(found)


async def _unqueue(
    connection: AsyncConnection, tenant: str, named: Sequence[str]
) -> tuple[int, int]:
    items = said = 0
    for start in range(0, len(named), AT_ONCE):
        some = named[start : start + AT_ONCE]
        of = reviews.c.tenant == tenant, reviews.c.item_id.in_(some)
        said += (await connection.execute(reviews.delete().where(*of))).rowcount
        those = review_items.c.tenant == tenant, review_items.c.item_id.in_(some)
        items += (await connection.execute(review_items.delete().where(*those))).rowcount
    return items, said


async def _rename(connection: AsyncConnection, tenant: str, old: str, new: str) -> None:
    """Whose votes they are is not known any more; that they are one account's is."""
    for table in (accounts, votes, feedback):
        mine: Any = sa.and_(table.c.tenant == tenant, table.c.account == old)
        await connection.execute(table.update().where(mine).values(account=new))
    counted = (
        feedback.c.tenant == tenant,
        feedback.c.account == new,
        feedback.c.counted.is_not(None),
    )
    columns = (feedback.c.principal, feedback.c.feedback_id, feedback.c.counted)
    for row in (await connection.execute(sa.select(*columns).where(*counted))).all():
        here = is_key((tenant, row.principal, row.feedback_id))
        told = {**row.counted, "account": new}
        await connection.execute(feedback.update().where(here).values(counted=told))


def _seconds(time: Timestamp) -> float:
    return float(time.seconds + time.nanos / 1e9)
