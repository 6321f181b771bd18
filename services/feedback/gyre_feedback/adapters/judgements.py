"""Judgements and answers in the service's database; what is said goes into the same commit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database, Transaction
from gyre_runtime.telemetry import counter

from gyre_feedback.adapters import facts
from gyre_feedback.adapters.forgetting import Forgetting, moment_of
from gyre_feedback.adapters.letters import LETTER, REASON, letter
from gyre_feedback.adapters.meeting import Meeting
from gyre_feedback.adapters.review_items import put_item
from gyre_feedback.adapters.rows import conflict, is_key, judgement_of, kept_of, new_row, upsert
from gyre_feedback.adapters.tables import feedback, places, review_items
from gyre_feedback.domain.answers import AnswerCame
from gyre_feedback.domain.errors import Refused
from gyre_feedback.domain.forgetting import textless, wordless
from gyre_feedback.domain.judgements import Judgement, Kept, State, check_part
from gyre_feedback.domain.reviews import ReviewReason
from gyre_feedback.ports import Clock, Key, Submitted, Wanted


class DatabaseJudgements:
    """`Judgements` on SQLite or PostgreSQL. reviews: how many an item of the queue wants."""

    def __init__(self, database: Database, clock: Clock, *, reviews: int) -> None:
        self._database = database
        self._clock = clock
        self._reviews = reviews
        self._forgetting = Forgetting(database)

    async def keep(self, submitted: Submitted) -> Kept:
        now = self._clock()
        async with self._database.transaction() as transaction:
            submitted, account = await self._unforgotten(transaction, submitted, now)
            judgement = submitted.judgement
            meeting = Meeting(transaction.connection, submitted.tenant, now)
            answer = await meeting.answer_at(judgement.target.place)
            if answer is not None:
                check_part(judgement, answer)
                await meeting.remember_chunk(judgement.target.chunk_id, answer)
            row = new_row(submitted, answer, now) | account
            stored = await transaction.connection.execute(upsert(transaction.connection), row)
            state = stored.scalar_one_or_none()
            if state is None:
                return await self._known(transaction, submitted)
            if state == State.WITHDRAWN:
                _say(transaction, submitted.tenant, facts.withdrawn(submitted.principal, judgement))
            elif state == State.RECORDED and answer is not None:
                event = facts.recorded(submitted.principal, judgement, answer, now)
                _say(transaction, submitted.tenant, event)
        received = datetime.fromtimestamp(now, UTC)
        names = submitted.tenant, submitted.principal
        return Kept(*names, judgement, State(state), received, answer)

    async def answer_came(self, tenant: str, came: AnswerCame, *, sample: bool) -> int:
        now = self._clock()
        async with self._database.transaction() as transaction:
            meeting = Meeting(transaction.connection, tenant, now)
            if await self._is_forgotten(transaction, tenant, came):
                came, sample = textless(came), False
            await meeting.bring(came)
            waiting = await meeting.waiting_for(came)
            for row in waiting:
                self._join(transaction, row, came, now)
            await meeting.join(waiting, came)
            if sample:
                await put_item(
                    transaction.connection, tenant, came, ReviewReason.SAMPLE, self._reviews, now
                )
        return len(waiting)

    async def get(self, key: Key) -> Kept | None:
        async with self._database.reading() as connection:
            found = await connection.execute(_SELECT.where(is_key(key)))
            row = found.one_or_none()
        return None if row is None else kept_of(row)

    async def list(
        self, tenant: str, wanted: Wanted, after: str, limit: int
    ) -> tuple[Sequence[Kept], str]:
        query = _wanted(tenant, wanted, after).limit(limit + 1)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        page = rows[:limit]
        following = _token(page[-1]) if len(rows) > limit else ""
        return [kept_of(row) for row in page], following

    async def decide(
        self, tenant: str, names: Sequence[tuple[str, str]], decided_by: str, *, counts: bool
    ) -> int:
        decided = 0
        state = State.RECORDED if counts else State.DROPPED
        async with self._database.transaction() as transaction:
            for principal, feedback_id in names:
                change = (
                    feedback.update()
                    .where(is_key((tenant, principal, feedback_id)))
                    .where(feedback.c.state == State.QUARANTINED)
                    .values(state=state, cleared=True, dirty=True)
                    .returning(feedback.c.body, feedback.c.place)
                )
                row = (await transaction.connection.execute(change)).one_or_none()
                if row is not None:
                    judgement = judgement_of(row.body)
                    if counts:
                        await self._say_again(transaction, tenant, principal, row)
                    event = facts.released(principal, judgement, decided_by, counts=counts)
                    _say(transaction, tenant, event)
                    decided += 1
        return decided

    async def give_up_waiting(self, moment: float, limit: int) -> int:
        query = (
            sa.select(feedback)
            .where(feedback.c.state == State.WAITING, feedback.c.wait_time < moment)
            .order_by(feedback.c.wait_time)
            .limit(limit)
        )
        async with self._database.transaction() as transaction:
            rows = (await transaction.connection.execute(query.with_for_update())).all()
            for row in rows:
                await self._give_up(transaction, row)
        return len(rows)

    async def wait_again(self, tenant: str, place: str, letter_id: str) -> bool:
        here = (
            feedback.c.tenant == tenant,
            feedback.c.place == place,
            feedback.c.letter_id == letter_id,
        )
        async with self._database.reading() as connection:
            known = await connection.scalar(sa.select(sa.exists().where(*here)))
        if not known:
            return False
        expired = feedback.update().where(*here, feedback.c.state == State.EXPIRED)
        async with self._database.transaction() as transaction:
            change = expired.values(state=State.WAITING, wait_time=self._clock())
            await transaction.connection.execute(change)
        return True

    async def reject(
        self,
        tenant: str,
        principal: str,
        judgement: Judgement,
        reason: str,
        detail: str,
        cause: str,
    ) -> None:
        event = facts.rejected(principal, judgement, reason, detail)
        async with self._database.transaction(aside=True) as transaction:
            transaction.say(event, tenant=tenant, entity_id=judgement.target.place, cause=cause)

    async def forget(self, moment: float, limit: int) -> int:
        held = sa.select(review_items.c.answer_id).where(
            review_items.c.tenant == places.c.tenant,
            review_items.c.review_count < review_items.c.wanted,
        )
        old = (
            sa.select(places.c.tenant, places.c.place)
            .where(places.c.come_time < moment, places.c.text != "", places.c.place.not_in(held))
            .limit(limit)
        )
        chosen = sa.tuple_(places.c.tenant, places.c.place).in_(old)
        async with self._database.transaction(aside=True) as transaction:
            change = places.update().where(chosen).values(question="", text="")
            done = await transaction.connection.execute(change)
        return done.rowcount

    async def _say_again(
        self, transaction: Transaction, tenant: str, principal: str, row: sa.Row[Any]
    ) -> None:
        """As it is now: edits in quarantine were not said. Whoever knows the revision passes it
        over."""
        now = self._clock()
        answer = await Meeting(transaction.connection, tenant, now).answer_at(row.place)
        if answer is not None:
            event = facts.recorded(principal, judgement_of(row.body), answer, now)
            _say(transaction, tenant, event)

    async def _unforgotten(
        self, transaction: Transaction, submitted: Submitted, now: float
    ) -> tuple[Submitted, dict[str, str]]:
        """Without its words where they were to be forgotten, and whose account it is then."""
        connection, tenant = transaction.connection, submitted.tenant
        judgement, said = submitted.judgement, moment_of(submitted.judgement, now)
        if not await self._forgetting.late(connection, tenant, judgement, said):
            return submitted, {}
        account, rater = {}, judgement.source.rater
        if rater and not submitted.vouched:
            names = tenant, submitted.principal, rater
            account = {"account": await self._forgetting.account(connection, *names)}
        return replace(submitted, judgement=wordless(judgement)), account

    async def _is_forgotten(self, transaction: Transaction, tenant: str, came: AnswerCame) -> bool:
        """Then what waits for it has no words any more, either."""
        connection, answer = transaction.connection, came.answer
        asked = answer.request_time.timestamp() if answer.request_time else 0.0
        until = await self._forgetting.until(connection, tenant, answer.end_user)
        if not 0.0 < asked <= until:
            return False
        await self._forgetting.bury(connection, tenant, came.places, until)
        await self._forgetting.silence(connection, tenant, came.places, until)
        return True

    async def _known(self, transaction: Transaction, submitted: Submitted) -> Kept:
        """Nothing was stored: a retry, a stale revision, or a conflict."""
        key = (submitted.tenant, submitted.principal, submitted.judgement.feedback_id)
        row = (await transaction.connection.execute(_SELECT.where(is_key(key)))).one()
        problem = conflict(row, submitted.judgement)
        if problem:
            raise Refused("revision_conflict", problem, {"revision": problem})
        return kept_of(row)

    def _join(
        self, transaction: Transaction, row: sa.Row[Any], came: AnswerCame, now: float
    ) -> None:
        judgement = judgement_of(row.body)
        try:
            check_part(judgement, came.answer)
            event: Any = facts.recorded(row.principal, judgement, came.answer, now)
        except Refused as refused:
            event = facts.rejected(row.principal, judgement, refused.reason, refused.detail)
        _say(transaction, row.tenant, event)

    async def _give_up(self, transaction: Transaction, row: sa.Row[Any]) -> None:
        judgement, letter_id = judgement_of(row.body), f"{LETTER}{uuid.uuid4()}"
        days = (self._clock() - row.wait_time) / 86_400
        detail = f"no answer '{judgement.target.place}' came within {days:.3g} days"
        change = feedback.update().where(is_key((row.tenant, row.principal, row.feedback_id)))
        await transaction.connection.execute(
            change.values(state=State.EXPIRED, letter_id=letter_id, reason=REASON, detail=detail)
        )
        transaction.put(letter(row.tenant, judgement, letter_id, detail))
        event = facts.rejected(row.principal, judgement, REASON, detail)
        _say(transaction, row.tenant, event)
        transaction.on_commit(GIVEN_UP.inc)


GIVEN_UP = counter("feedback_given_up", "Judgements whose answer never came.")
_SELECT = sa.select(feedback, places.c.about).select_from(
    feedback.outerjoin(
        places,
        sa.and_(places.c.tenant == feedback.c.tenant, places.c.place == feedback.c.place),
    )
)


def _say(transaction: Transaction, tenant: str, event: Any) -> None:
    answer = event.answer.answer_id if hasattr(event, "answer") else event.answer_id
    transaction.say(event, tenant=tenant, entity_id=answer)


def _wanted(tenant: str, wanted: Wanted, after: str) -> sa.Select[Any]:
    named = {
        feedback.c.place: wanted.answer_id,
        feedback.c.metric: wanted.metric,
        feedback.c.state: wanted.state or "",
        feedback.c.principal: wanted.principal,
        feedback.c.reason: wanted.reason,
    }
    conditions = [column == value for column, value in named.items() if value]
    if wanted.prompt:
        below = feedback.c.prompt.startswith(f"{wanted.prompt}/", autoescape=True)
        conditions.append(sa.or_(feedback.c.prompt == wanted.prompt, below))
    query = _SELECT.where(feedback.c.tenant == tenant, *conditions)
    place = sa.tuple_(feedback.c.receive_time, feedback.c.principal, feedback.c.feedback_id)
    forward = wanted.oldest_first
    if after:
        mark = sa.tuple_(*map(sa.literal, _mark(after)))
        query = query.where(place > mark if forward else place < mark)
    columns = (feedback.c.receive_time, feedback.c.principal, feedback.c.feedback_id)
    return query.order_by(*(one.asc() if forward else one.desc() for one in columns))


def _token(row: sa.Row[Any]) -> str:
    return f"{row.receive_time!r}/{row.feedback_id}/{row.principal}"


def _mark(token: str) -> tuple[float, str, str]:
    """Raises ValueError for a token that is none."""
    moment, feedback_id, principal = token.split("/", 2)
    return float(moment), principal, feedback_id
