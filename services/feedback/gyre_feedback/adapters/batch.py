"""One transaction over changed judgements: all of their effects, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Transaction
from gyre_runtime.database.transaction import upsert
from gyre_runtime.telemetry import counter
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gyre_feedback.adapters import facts
from gyre_feedback.adapters.review_items import put_up
from gyre_feedback.adapters.rows import judgement_of
from gyre_feedback.adapters.scoring import ScoreKeeper
from gyre_feedback.adapters.tables import accounts, feedback, votes
from gyre_feedback.adapters.tallies import standing
from gyre_feedback.domain.judgements import State
from gyre_feedback.domain.reviews import ReviewReason
from gyre_feedback.domain.scores import Entity, EntityKind, Score, Tally
from gyre_feedback.domain.suspicion import Account, Recent, Suspicion, Watchfulness
from gyre_feedback.ports import AccountKey, Changed, Judged, Key, Vote

QUARANTINED = counter("feedback_quarantined", "Suspicious judgements, by why.", ["reason"])


class DatabaseBatch:
    """`Batch`."""

    def __init__(
        self,
        transaction: Transaction,
        changed: Sequence[Changed],
        now: float,
        watch: Watchfulness,
        reviews: int,
    ) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._now, self._watch, self._reviews = now, watch, reviews
        self.changed = changed

    async def accounts(self) -> dict[AccountKey, Account]:
        known: dict[AccountKey, Account] = {}
        for one in self.changed:
            first = 0.0 if one.vouched else one.receive_time
            account = known.setdefault((one.key[0], one.account), Account(first))
            account.first_time = min(account.first_time, first)
        wanted = sa.tuple_(accounts.c.tenant, accounts.c.account).in_(list(known))
        for row in await self._connection.execute(sa.select(accounts).where(wanted)):
            account = known[row.tenant, row.account]
            account.first_time = min(account.first_time, row.first_time)
            account.hour, account.count = row.hour, row.judged
        return known

    async def first_of(self) -> Mapping[tuple[str, ...], Key]:
        fresh = [one for one in self.changed if one.fresh]
        wanted = {(one.key[0], one.place, one.metric) for one in fresh}
        if not wanted:
            return {}
        columns = (feedback.c.tenant, feedback.c.place, feedback.c.metric)
        query = (
            sa.select(*columns, feedback.c.account, feedback.c.part, *_KEY[1:])
            .where(sa.tuple_(*columns).in_(list(wanted)))
            .where(feedback.c.account.in_({one.account for one in fresh}))
            .where(feedback.c.state.in_([State.RECORDED, State.QUARANTINED]))
            .order_by(feedback.c.receive_time, *_KEY)
        )
        found: dict[tuple[str, ...], Key] = {}
        for row in await self._connection.execute(query):
            same = (row.tenant, row.account, row.place, row.part, row.metric)
            found.setdefault(same, (row.tenant, row.principal, row.feedback_id))
        return found

    async def settle(
        self,
        accounts: Mapping[AccountKey, Account],
        suspects: Mapping[Key, Suspicion],
        votes: Mapping[tuple[Entity, str], Vote],
    ) -> None:
        await self._keep_accounts(accounts)
        for key, suspicion in suspects.items():
            await self._suspect(key, suspicion)
        await self._mark(suspects)
        await self._add(votes, accounts)

    async def standing(
        self, entities: Sequence[Entity], old: float, since: float
    ) -> Mapping[Entity, tuple[Tally, Recent]]:
        return await standing(self._connection, entities, old, since)

    async def quarantine(self, entity: Entity, *, good: bool, old: float, since: float) -> int:
        about = {
            EntityKind.PROMPT: feedback.c.prompt == entity.entity_id,
            EntityKind.CHUNK: feedback.c.part == f"/{entity.entity_id}",
        }
        young = sa.exists().where(
            accounts.c.tenant == feedback.c.tenant,
            accounts.c.account == feedback.c.account,
            accounts.c.first_time > old,
        )
        chosen = (
            sa.select(*_KEY)
            .where(feedback.c.tenant == entity.tenant, feedback.c.receive_time > since)
            .where(feedback.c.metric == entity.metric, feedback.c.state == State.RECORDED)
            .where(sa.not_(feedback.c.cleared), about[entity.kind], young)
            .where(feedback.c.goodness >= 0.5 if good else feedback.c.goodness < 0.5)
        )
        rows = (await self._connection.execute(chosen)).all()
        for row in rows:
            await self._suspect((row[0], row[1], row[2]), Suspicion.COLLUSION)
        return len(rows)

    async def save(self, scores: Mapping[Entity, Score]) -> None:
        await ScoreKeeper(self._transaction, self._now).save(scores)

    async def spread(self) -> Mapping[Judged, tuple[float, float]]:
        judged = {
            (one.key[0], one.place, one.metric)
            for one in self.changed
            if one.state is State.RECORDED and one.goodness is not None
        }
        if not judged:
            return {}
        columns = (feedback.c.tenant, feedback.c.place, feedback.c.metric)
        goodness = feedback.c.goodness
        query = (
            sa.select(*columns, sa.func.min(goodness), sa.func.max(goodness))
            .where(sa.tuple_(*columns).in_(list(judged)), feedback.c.state == State.RECORDED)
            .group_by(*columns)
        )
        found = await self._connection.execute(query)
        return {(row[0], row[1], row[2]): (row[3], row[4]) for row in found}

    async def put_up(self, reasons: Mapping[Judged, ReviewReason]) -> None:
        wanted = {(tenant, place): reason for (tenant, place, _), reason in reasons.items()}
        await put_up(self._connection, wanted, self._reviews, self._now)

    async def _keep_accounts(self, known: Mapping[AccountKey, Account]) -> None:
        rows = [
            {
                "tenant": tenant,
                "account": name,
                "first_time": account.first_time,
                "hour": account.hour,
                "judged": account.count,
            }
            for (tenant, name), account in known.items()
        ]
        if rows:
            put = upsert(self._connection, accounts, ["first_time", "hour", "judged"])
            await self._connection.execute(put, rows)

    async def _suspect(self, key: Key, suspicion: Suspicion) -> None:
        detail = self._watch.detail(suspicion)
        change = (
            feedback.update()
            .where(*(column == value for column, value in zip(_KEY, key, strict=True)))
            .values(state=State.QUARANTINED, reason=suspicion, detail=detail, dirty=True)
            .returning(feedback.c.body)
        )
        body = (await self._connection.execute(change)).scalar_one()
        judgement = judgement_of(body)
        event = facts.quarantined(key[1], judgement, suspicion, detail)
        self._transaction.say(event, tenant=key[0], entity_id=judgement.target.place)
        self._transaction.on_commit(QUARANTINED.labels(suspicion).inc)

    async def _mark(self, suspects: Mapping[Key, Suspicion]) -> None:
        rows = [
            {
                "is_tenant": one.key[0],
                "is_principal": one.key[1],
                "is_id": one.key[2],
                "is_counted": None if one.key in suspects else _counted(one),
            }
            for one in self.changed
        ]
        if rows:
            await self._connection.execute(_MARK, rows)

    async def _add(
        self, given: Mapping[tuple[Entity, str], Vote], known: Mapping[AccountKey, Account]
    ) -> None:
        rows = [
            {
                "tenant": entity.tenant,
                "kind": entity.kind,
                "entity_id": entity.entity_id,
                "metric": entity.metric,
                "account": name,
                "first_time": _first(known, entity.tenant, name, self._now),
                "last_time": vote.last_time,
                "judgements": vote.judgements,
                "total": vote.total,
            }
            for (entity, name), vote in given.items()
        ]
        if not rows:
            return
        insert = postgres_insert if self._connection.dialect.name == "postgresql" else sqlite_insert
        new: Any = insert(votes)
        changes = {
            "judgements": votes.c.judgements + new.excluded.judgements,
            "total": votes.c.total + new.excluded.total,
            "last_time": sa.case(
                (new.excluded.last_time > votes.c.last_time, new.excluded.last_time),
                else_=votes.c.last_time,
            ),
        }
        keys = list(votes.primary_key.columns)
        await self._connection.execute(
            new.on_conflict_do_update(index_elements=keys, set_=changes), rows
        )


_KEY = (feedback.c.tenant, feedback.c.principal, feedback.c.feedback_id)
_MARK = (
    feedback.update()
    .where(feedback.c.tenant == sa.bindparam("is_tenant"))
    .where(feedback.c.principal == sa.bindparam("is_principal"))
    .where(feedback.c.feedback_id == sa.bindparam("is_id"))
    .values(
        dirty=False, seen=True, counted=sa.bindparam("is_counted", type_=feedback.c.counted.type)
    )
)


def _counted(one: Changed) -> dict[str, Any] | None:
    if one.state is not State.RECORDED or one.goodness is None or not one.entities:
        return None
    return {
        "account": one.account,
        "goodness": one.goodness,
        "entities": [[entity.kind, entity.entity_id] for entity in one.entities],
    }


def _first(known: Mapping[AccountKey, Account], tenant: str, name: str, now: float) -> float:
    account = known.get((tenant, name))
    return account.first_time if account else now
