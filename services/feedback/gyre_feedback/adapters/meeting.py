"""Where a judgement and its answer meet, whichever comes first.

The one that comes second sees the first. On PostgreSQL both lock the row of their place, else two
transactions at the same time would not see each other; SQLite has one writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre_runtime.database.transaction import insert_ignore, upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_feedback.adapters.rows import is_key, joined_values, judgement_of
from gyre_feedback.adapters.tables import chunks, feedback, places
from gyre_feedback.domain.answers import AnswerCame, JudgedAnswer
from gyre_feedback.domain.judgements import State
from gyre_feedback.wire import answer_from, answer_to

WAITING = (State.WAITING, State.EXPIRED)
# Put together once: every judgement asks it.
_ABOUT = sa.select(places.c.about).where(
    places.c.tenant == sa.bindparam("tenant"), places.c.place == sa.bindparam("place")
)


class Meeting:
    """Inside one write transaction."""

    def __init__(self, connection: AsyncConnection, tenant: str, now: float) -> None:
        self._connection, self._tenant, self._now = connection, tenant, now

    async def answer_at(self, place: str) -> JudgedAnswer | None:
        """The answer, once it has come; else the place is locked."""
        here = {"tenant": self._tenant, "place": place}
        about = await self._connection.scalar(_ABOUT, here)
        if about is None:
            await self._lock(place)
            about = await self._connection.scalar(_ABOUT, here)
        return None if about is None else answer_from(pb.JudgedAnswer.FromString(about))

    async def bring(self, came: AnswerCame) -> None:
        """Locks the answer's places and puts it there."""
        known = {
            "about": answer_to(came.answer).SerializeToString(deterministic=True),
            "question": came.question,
            "text": came.text,
            "come_time": self._now,
            "touch_time": self._now,
        }
        put = upsert(self._connection, places, list(known))
        for place in came.places:
            await self._connection.execute(put, {"tenant": self._tenant, "place": place, **known})

    async def waiting_for(self, came: AnswerCame) -> Sequence[sa.Row[Any]]:
        found = await self._connection.execute(
            sa.select(feedback)
            .where(feedback.c.tenant == self._tenant, feedback.c.place.in_(came.places))
            .where(feedback.c.state.in_(WAITING))
            .with_for_update()
        )
        return found.all()

    async def join(self, waiting: Sequence[sa.Row[Any]], came: AnswerCame) -> None:
        """What waited is recorded, or rejected where the answer has no such part."""
        for row in waiting:
            change = feedback.update().where(is_key((row.tenant, row.principal, row.feedback_id)))
            await self._connection.execute(change.values(**joined_values(row, came.answer)))
            await self.remember_chunk(judgement_of(row.body).target.chunk_id, came.answer)

    async def remember_chunk(self, chunk_id: str, answer: JudgedAnswer) -> None:
        """For what is said of the passage later."""
        if chunk_id in answer.chunks:
            row = {
                "tenant": self._tenant,
                "chunk_id": chunk_id,
                "document_id": answer.chunks[chunk_id],
                "collection": answer.collection,
            }
            await self._connection.execute(insert_ignore(self._connection, chunks), row)

    async def _lock(self, place: str) -> None:
        row = {"tenant": self._tenant, "place": place, "touch_time": self._now}
        await self._connection.execute(upsert(self._connection, places, ["touch_time"]), row)
