"""Reindexings in the service's database; what they say goes into the outbox of the same commit."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.transaction import upsert
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_retrieval.adapters.reindex_events import aborted, built, switched
from gyre_retrieval.adapters.tables import (
    collections,
    documents,
    fills,
    holds,
    indexes,
    leavings,
    reindexes,
    samples,
    wishes,
)
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.reindex import (
    OPEN,
    Gate,
    JudgedComparison,
    NotCaughtUp,
    Progress,
    Reindex,
    ReindexRefused,
    ReindexState,
    ReindexUnknown,
    Sample,
    Verdict,
    Wanted,
    Wish,
    is_newer,
)

_JUDGED = TypeAdapter(JudgedComparison)
SETTLED_AT_ONCE = 500


class DatabaseReindexes:
    """`Reindexes` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wish(self, some: Sequence[Wish]) -> None:
        async with self._database.transaction() as transaction:
            for wish in some:
                await _wish(transaction.connection, wish)

    async def wishes(self) -> list[Wish]:
        query = sa.select(wishes).order_by(wishes.c.collection)
        async with self._database.reading() as connection:
            return [Wish(**row._mapping) for row in await connection.execute(query)]

    async def drop_wish(self, wish: Wish) -> None:
        async with self._database.transaction(aside=True) as transaction:
            await _drop_wish(transaction.connection, wish.collection, wish.embedder)

    async def is_made(self, creation_key: str) -> bool:
        query = sa.select(reindexes.c.reindex_id).where(reindexes.c.creation_key == creation_key)
        async with self._database.reading() as connection:
            return await connection.scalar(query) is not None

    async def filled(self, collection: str) -> Reindex | None:
        async with self._database.reading() as connection:
            reindex_id = await _filled(connection, collection)
            return None if reindex_id is None else await _read(connection, reindex_id)

    async def model_of(self, index: Index) -> str:
        query = sa.select(reindexes.c.model).where(reindexes.c.index_name == index.name)
        async with self._database.reading() as connection:
            return await connection.scalar(query) or ""

    async def judge(self, tenant: str, reindex_id: str, gate: Gate) -> bool:
        values = {
            "gate_id": gate.gate_id,
            "verdict": str(gate.verdict),
            "needs_approval": gate.needs_approval,
            "reasons": gate.reasons,
        }
        return await self._gate(tenant, reindex_id, values)

    async def grant(self, tenant: str, reindex_id: str, gate: Gate) -> bool:
        values: dict[str, Any] = {"gate_id": gate.gate_id, "granted": gate.granted}
        if not gate.granted:
            values["reasons"] = gate.reasons
        return await self._gate(tenant, reindex_id, values)

    async def _gate(self, tenant: str, reindex_id: str, values: dict[str, Any]) -> bool:
        where = sa.and_(
            reindexes.c.reindex_id == reindex_id, reindexes.c.tenant == tenant, reindexes.c.gated
        )
        async with self._database.transaction() as transaction:
            changed = sa.update(reindexes).where(where).values(**values)
            return bool((await transaction.connection.execute(changed)).rowcount)

    async def start(self, reindex: Reindex) -> None:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            if await _in_use(connection, reindex.collection, lock=True) != reindex.previous:
                raise ReindexRefused("another index came into use: start again")
            if other := await _filled(connection, reindex.collection):
                raise ReindexRefused(
                    f"{other} fills an index of this collection already: switch to it or abort it"
                )
            await connection.execute(sa.insert(indexes), _index_row(reindex.index))
            await connection.execute(sa.insert(reindexes), _row(reindex))
            if reindex.creation_key is not None:
                await _drop_wish(connection, reindex.collection, reindex.index.embedder)

    async def get(self, reindex_id: str) -> Reindex:
        async with self._database.reading() as connection:
            return await _read(connection, reindex_id)

    async def newest(self, collection: str, limit: int, offset: int) -> list[Reindex]:
        query = sa.select(reindexes).order_by(
            reindexes.c.start_time.desc(), reindexes.c.reindex_id.desc()
        )
        if collection:
            query = query.where(reindexes.c.collection == collection)
        return await self._reindexes(query.limit(limit).offset(offset))

    async def open(self) -> list[Reindex]:
        query = sa.select(reindexes).where(reindexes.c.state.in_([str(one) for one in OPEN]))
        return await self._reindexes(query.order_by(reindexes.c.start_time))

    async def claim(self, reindex_id: str, owner: str, seconds: float) -> bool:
        now = time.time()
        free = sa.or_(reindexes.c.owner == owner, reindexes.c.lease_until < now)
        claimed = (
            sa.update(reindexes)
            .where(reindexes.c.reindex_id == reindex_id, free)
            .values(owner=owner, lease_until=now + seconds)
        )
        async with self._database.transaction(aside=True) as transaction:
            return bool((await transaction.connection.execute(claimed)).rowcount)

    async def progress(self, reindex: Reindex) -> Progress:
        async with self._database.reading() as connection:
            total = (await connection.execute(_counted(reindex.collection))).one()
            in_use = await _in_use(connection, reindex.collection)
            if reindex.state is ReindexState.ABORTED:
                return Progress(0, total.documents, 0, int(total.chunks))
            if in_use == reindex.index or reindex.state is ReindexState.ENDED:
                chunks = int(total.chunks)
                return Progress(total.documents, total.documents, chunks, chunks)
            held = (await connection.execute(_held(reindex.index))).one()
        return Progress(held.documents, total.documents, int(held.chunks), int(total.chunks))

    async def change_count(self, collection: str) -> int:
        query = sa.select(sa.func.sum(collections.c.generation)).where(
            collections.c.name == collection
        )
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    async def in_use(self, collection: str) -> Index | None:
        async with self._database.reading() as connection:
            return await _in_use(connection, collection)

    async def lagging(self, follower: Index, after: DocumentKey | None, limit: int) -> list[Wanted]:
        query = _lagging(follower).order_by(documents.c.tenant, documents.c.document_id)
        if after is not None:
            place = sa.tuple_(documents.c.tenant, documents.c.document_id)
            query = query.where(place > sa.tuple_(after.tenant, after.document_id))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit))).all()
        return [_wanted(row) for row in rows]

    async def begin(self, follower: Index, wanted: Sequence[Wanted]) -> None:
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            for one in wanted:
                await _leave_other(connection, follower, one)
            rows = [_fill_row(follower, one, stored=False) for one in wanted]
            put = upsert(connection, fills, ["revision", "attempt", "stored"])
            await connection.execute(put, rows)

    async def finish(self, follower: Index, wanted: Sequence[Wanted]) -> None:
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            for one in wanted:
                stored = sa.update(fills).where(_fill_of(follower, one)).values(stored=True)
                await connection.execute(stored)
            await _settle(connection, follower, [one.document for one in wanted])

    async def settle(self, follower: Index) -> int:
        settled = 0
        while True:
            async with self._database.transaction(aside=True) as transaction:
                some = await _settle(transaction.connection, follower, None)
            settled += some
            if some < SETTLED_AT_ONCE:
                return settled

    async def detail(self, reindex_id: str, detail: str) -> None:
        changed = sa.and_(reindexes.c.reindex_id == reindex_id, reindexes.c.detail != detail)
        async with self._database.transaction(aside=True) as transaction:
            await transaction.connection.execute(
                sa.update(reindexes).where(changed).values(detail=detail)
            )

    async def build(self, reindex_id: str) -> None:
        async with self._database.transaction() as transaction:
            reindex = await _read(transaction.connection, reindex_id, lock=True)
            if reindex.state is not ReindexState.FILLING:
                return
            now = time.time()
            await _change(
                transaction, reindex, state=str(ReindexState.READY), build_time=now, detail=""
            )
            held = (await transaction.connection.execute(_held(reindex.index))).one()
            _say(transaction, reindex, built(reindex, held.documents, int(held.chunks), now))

    async def hold(self, collection: str, seconds: float) -> None:
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            row = {"collection": collection, "until": time.time() + seconds}
            await connection.execute(upsert(connection, holds, ["until"]), row)

    async def switch(self, reindex_id: str, *, back: bool, keep: float) -> Reindex:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            reindex = await _read(connection, reindex_id, lock=True)
            _refuse_switch(reindex, back)
            leaves = reindex.index if back else await _in_use(connection, reindex.collection)
            assert leaves is not None  # a collection that has an index has one in use
            await _swap(connection, leaves=leaves, comes=reindex.follower)
            now = time.time()
            values: dict[str, Any] = {
                "state": str(ReindexState.READY if back else ReindexState.SWITCHED),
                "switch_time": now,
                "keep_until": None if back else now + keep,
                "detail": "",
            }
            if not back:
                values |= _previous(leaves)
            await _change(transaction, reindex, **values)
            await connection.execute(
                sa.delete(holds).where(holds.c.collection == reindex.collection)
            )
            after = await _read(connection, reindex_id)
            _say(transaction, after, switched(after, back, now))
        return after

    async def abort(self, reindex_id: str, reason: str) -> Reindex:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            reindex = await _read(connection, reindex_id, lock=True)
            if reindex.state is ReindexState.ABORTED:
                return reindex
            if reindex.state not in (ReindexState.FILLING, ReindexState.READY):
                raise ReindexRefused("the index is in use: switch back first")
            await _retire(connection, reindex.index)
            now = time.time()
            await _change(
                transaction, reindex, state=str(ReindexState.ABORTED), end_time=now, detail=reason
            )
            after = await _read(connection, reindex_id)
            needed = await _is_needed(connection, after.index.embedder)
            _say(transaction, after, aborted(after, reason, now, needed=needed))
        return after

    async def end(self, reindex_id: str) -> None:
        async with self._database.transaction() as transaction:
            reindex = await _read(transaction.connection, reindex_id, lock=True)
            if reindex.state is ReindexState.SWITCHED:
                await _retire(transaction.connection, reindex.previous)
                state, now = str(ReindexState.ENDED), time.time()
                await _change(transaction, reindex, state=state, end_time=now, detail="")

    async def orphans(self, names: Collection[str]) -> frozenset[str]:
        ours, known = await self._names(names)
        return ours - known

    async def strangers(self, names: Collection[str]) -> frozenset[str]:
        ours, known = await self._names(names)
        return frozenset(names) - ours - known

    async def keep_sample(self, reindex_id: str, sample: Sample, most: int) -> None:
        row = {**asdict(sample), "reindex_id": reindex_id, "sample_id": _ordered_id()}
        of_it = samples.c.reindex_id == reindex_id
        async with self._database.transaction(aside=True) as transaction:
            kept = await transaction.connection.scalar(
                sa.select(sa.func.count()).select_from(samples).where(of_it)
            )
            if (kept or 0) >= most:
                return
            await transaction.connection.execute(sa.insert(samples), row)

    async def samples(self, reindex_id: str) -> list[Sample]:
        columns = [samples.c[name] for name in Sample.__dataclass_fields__]
        query = sa.select(*columns).where(samples.c.reindex_id == reindex_id)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(samples.c.sample_id))
            return [Sample(*row) for row in rows]

    async def keep_judged(self, reindex_id: str, judged: JudgedComparison) -> None:
        where = reindexes.c.reindex_id == reindex_id
        values = {"judged": _JUDGED.dump_python(judged, mode="json")}
        async with self._database.transaction() as transaction:
            await transaction.connection.execute(sa.update(reindexes).where(where).values(**values))

    async def judged(self, reindex_id: str) -> JudgedComparison | None:
        query = sa.select(reindexes.c.judged).where(reindexes.c.reindex_id == reindex_id)
        async with self._database.reading() as connection:
            kept = await connection.scalar(query)
        return None if kept is None else _JUDGED.validate_python(kept)

    async def _reindexes(self, query: sa.Select[Any]) -> list[Reindex]:
        async with self._database.reading() as connection:
            return [_reindex(row) for row in await connection.execute(query)]

    async def _names(self, names: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Of these, those of any reindexing, and those that the catalogue knows."""
        ever = sa.union(sa.select(reindexes.c.index_name), sa.select(reindexes.c.previous_name))
        async with self._database.reading() as connection:
            ours = {name for (name,) in await connection.execute(ever)}
            known = {name for (name,) in await connection.execute(sa.select(indexes.c.name))}
        return frozenset(names) & ours, frozenset(names) & known


def _counted(collection: str) -> sa.Select[Any]:
    """What is in force."""
    return sa.select(
        sa.func.count().label("documents"),
        sa.func.coalesce(sa.func.sum(documents.c.chunk_count), 0).label("chunks"),
    ).where(documents.c.collection == collection, documents.c.revision.is_not(None))


def _of_follower(follower: Index) -> sa.ColumnElement[bool]:
    """A fill and its document."""
    return sa.and_(
        fills.c.index_name == follower.name,
        fills.c.tenant == documents.c.tenant,
        fills.c.document_id == documents.c.document_id,
    )


_SAME_VERSION = sa.and_(
    fills.c.revision == documents.c.revision, fills.c.attempt == documents.c.attempt
)


def _held(follower: Index) -> sa.Select[Any]:
    """What is in force and wholly in the follower."""
    held = sa.and_(_of_follower(follower), _SAME_VERSION, fills.c.stored)
    return _counted(follower.collection).join_from(documents, fills, held)


def _lagging(follower: Index) -> sa.Select[Any]:
    """What is in force and not wholly in the follower."""
    held = sa.and_(_of_follower(follower), _SAME_VERSION, fills.c.stored)
    return (
        sa.select(documents)
        .select_from(documents.outerjoin(fills, held))
        .where(
            documents.c.collection == follower.collection,
            documents.c.revision.is_not(None),
            fills.c.index_name.is_(None),
        )
    )


async def _swap(connection: AsyncConnection, *, leaves: Index, comes: Index) -> None:
    """Raises `NotCaughtUp`, `ReindexRefused`.

    TRAP: first the row in use is taken, then what lags is looked for: what is brought into force
    holds that row until it is committed (`DatabaseRecord.serving`).
    """
    out = sa.update(indexes).where(indexes.c.name == leaves.name, indexes.c.in_use)
    if not (await connection.execute(out.values(in_use=False))).rowcount:
        raise ReindexRefused("another index is in use now")
    if (await connection.execute(_lagging(comes).limit(1))).first() is not None:
        raise NotCaughtUp(comes.name)
    into = sa.update(indexes).where(indexes.c.name == comes.name)
    await connection.execute(into.values(in_use=True))
    await connection.execute(sa.delete(fills).where(fills.c.index_name == comes.name))
    all_in_force = sa.select(
        sa.literal(leaves.name),
        documents.c.tenant,
        documents.c.document_id,
        documents.c.revision,
        documents.c.attempt,
        sa.true(),
    ).where(documents.c.collection == leaves.collection, documents.c.revision.is_not(None))
    names = ["index_name", "tenant", "document_id", "revision", "attempt", "stored"]
    await connection.execute(sa.insert(fills).from_select(names, all_in_force))


async def _settle(
    connection: AsyncConnection, follower: Index, of: Sequence[DocumentKey] | None
) -> int:
    """Fills of versions that are not in force become leavings; at most SETTLED_AT_ONCE."""
    query = (
        sa.select(fills)
        .select_from(
            fills.outerjoin(
                documents,
                sa.and_(
                    documents.c.collection == follower.collection,
                    documents.c.tenant == fills.c.tenant,
                    documents.c.document_id == fills.c.document_id,
                    _SAME_VERSION,
                ),
            )
        )
        .where(fills.c.index_name == follower.name, documents.c.document_id.is_(None))
        .limit(SETTLED_AT_ONCE)
    )
    if of is not None:
        query = query.where(fills.c.document_id.in_([one.document_id for one in of]))
    rows = (await connection.execute(query)).all()
    for row in rows:
        await _leave(connection, follower, row)
    return len(rows)


async def _leave_other(connection: AsyncConnection, follower: Index, wanted: Wanted) -> None:
    """A version whose copying did not end is about to be forgotten for a newer one."""
    query = sa.select(fills).where(_fill_of(follower, wanted))
    row = (await connection.execute(query)).one_or_none()
    if row is not None and Version(row.revision, row.attempt) != wanted.version:
        await _leave(connection, follower, row)


async def _leave(connection: AsyncConnection, follower: Index, row: Any) -> None:
    leaving = {
        "tenant": row.tenant,
        "collection": follower.collection,
        "document_id": row.document_id,
        "revision": row.revision,
        "attempt": row.attempt,
        "since": time.time(),
    }
    await connection.execute(upsert(connection, leavings, ["since"]), leaving)
    gone = sa.and_(
        fills.c.index_name == follower.name,
        fills.c.tenant == row.tenant,
        fills.c.document_id == row.document_id,
    )
    await connection.execute(sa.delete(fills).where(gone))


async def _retire(connection: AsyncConnection, index: Index) -> None:
    """The reconciler drops what the catalogue does not know."""
    unused = sa.and_(indexes.c.name == index.name, sa.not_(indexes.c.in_use))
    await connection.execute(sa.delete(indexes).where(unused))
    await connection.execute(sa.delete(fills).where(fills.c.index_name == index.name))


async def _in_use(
    connection: AsyncConnection, collection: str, *, lock: bool = False
) -> Index | None:
    query = sa.select(indexes).where(indexes.c.collection == collection, indexes.c.in_use)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return Index(row.name, row.collection, row.embedder, row.dimension) if row else None


async def _filled(connection: AsyncConnection, collection: str) -> str | None:
    states = [str(ReindexState.FILLING), str(ReindexState.READY)]
    query = sa.select(reindexes.c.reindex_id).where(
        reindexes.c.collection == collection, reindexes.c.state.in_(states)
    )
    return await connection.scalar(query)


async def _wish(connection: AsyncConnection, wish: Wish) -> None:
    query = sa.select(wishes.c.model).where(wishes.c.collection == wish.collection)
    kept = await connection.scalar(query.with_for_update())
    if kept is None or is_newer(wish.model, kept):
        row = asdict(wish)
        columns = [name for name in row if name != "collection"]
        await connection.execute(upsert(connection, wishes, columns), row)


async def _drop_wish(connection: AsyncConnection, collection: str, embedder: str) -> None:
    granted = sa.and_(wishes.c.collection == collection, wishes.c.embedder == embedder)
    await connection.execute(sa.delete(wishes).where(granted))


async def _is_needed(connection: AsyncConnection, embedder: str) -> bool:
    """Whether any index has it, or is to have it."""
    by_index = sa.select(indexes.c.embedder).where(indexes.c.embedder == embedder)
    by_wish = sa.select(wishes.c.embedder).where(wishes.c.embedder == embedder)
    return (await connection.execute(sa.union(by_index, by_wish))).first() is not None


async def _read(connection: AsyncConnection, reindex_id: str, *, lock: bool = False) -> Reindex:
    query = sa.select(reindexes).where(reindexes.c.reindex_id == reindex_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise ReindexUnknown(reindex_id)
    return _reindex(row)


async def _change(transaction: Transaction, reindex: Reindex, **values: Any) -> None:
    where = reindexes.c.reindex_id == reindex.reindex_id
    await transaction.connection.execute(sa.update(reindexes).where(where).values(**values))


def _say(transaction: Transaction, reindex: Reindex, event: Message) -> None:
    transaction.say(event, tenant=reindex.tenant, entity_id=reindex.reindex_id)


def _refuse_switch(reindex: Reindex, back: bool) -> None:
    if back and reindex.state is not ReindexState.SWITCHED:
        raise ReindexRefused(f"there is nothing to switch back: it is {reindex.state}")
    if not back and reindex.state is not ReindexState.READY:
        raise ReindexRefused(f"only a filled index can be used: it is {reindex.state}")


def _fill_of(follower: Index, wanted: Wanted) -> sa.ColumnElement[bool]:
    document = wanted.document
    return sa.and_(
        fills.c.index_name == follower.name,
        fills.c.tenant == document.tenant,
        fills.c.document_id == document.document_id,
    )


def _fill_row(follower: Index, wanted: Wanted, *, stored: bool) -> dict[str, Any]:
    return {
        "index_name": follower.name,
        "tenant": wanted.document.tenant,
        "document_id": wanted.document.document_id,
        "revision": wanted.version.revision,
        "attempt": wanted.version.attempt,
        "stored": stored,
    }


def _wanted(row: Any) -> Wanted:
    document = DocumentKey(row.tenant, row.collection, row.document_id)
    return Wanted(document, Version(row.revision, row.attempt), row.chunk_count)


def _index_row(index: Index) -> dict[str, Any]:
    return {**asdict(index), "in_use": False}


def _row(reindex: Reindex) -> dict[str, Any]:
    index, previous = reindex.index, reindex.previous
    return {
        "reindex_id": reindex.reindex_id,
        "tenant": reindex.tenant,
        "principal": reindex.principal,
        "reason": reindex.reason,
        "collection": reindex.collection,
        "index_name": index.name,
        "embedder": index.embedder,
        "dimension": index.dimension,
        **_previous(previous),
        "state": str(reindex.state),
        "start_time": reindex.start_time,
        "gated": reindex.gated,
        "model": reindex.model,
        "creation_key": reindex.creation_key,
    }


def _previous(index: Index) -> dict[str, Any]:
    return {
        "previous_name": index.name,
        "previous_embedder": index.embedder,
        "previous_dimension": index.dimension,
    }


def _reindex(row: Any) -> Reindex:
    return Reindex(
        reindex_id=row.reindex_id,
        tenant=row.tenant,
        principal=row.principal,
        reason=row.reason,
        index=Index(row.index_name, row.collection, row.embedder, row.dimension),
        previous=Index(
            row.previous_name, row.collection, row.previous_embedder, row.previous_dimension
        ),
        start_time=row.start_time,
        state=ReindexState(row.state),
        detail=row.detail,
        build_time=row.build_time,
        switch_time=row.switch_time,
        keep_until=row.keep_until,
        end_time=row.end_time,
        gated=row.gated,
        model=row.model,
        creation_key=row.creation_key,
        gate=Gate(
            gate_id=row.gate_id,
            verdict=Verdict(row.verdict),
            needs_approval=row.needs_approval,
            reasons=row.reasons,
            granted=row.granted,
        ),
    )


def _ordered_id() -> str:
    """By time, so that samples are read in their order."""
    return f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}"
