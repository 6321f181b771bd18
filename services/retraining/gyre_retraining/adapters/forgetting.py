"""A person is forgotten: sources lose their content, datasets that held some their rows, and the
lineage the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import sqlalchemy as sa
from gyre.retraining.v1.events_pb2 import SourcesForgotten
from gyre_runtime.database import Database, Transaction
from gyre_runtime.erasing import Eraser, Erasure, says

from gyre_retraining.adapters import lineage, source_erasure
from gyre_retraining.adapters.source_tables import judgements
from gyre_retraining.dataset_ports import DatasetStore
from gyre_retraining.domain.erasure import user_key
from gyre_retraining.domain.lineage import Direction, Kind, Thing
from gyre_retraining.domain.trainings import DatasetUnknown
from gyre_retraining.lineage_ports import LineageStore

PAGE = 500


def eraser(
    database: Database,
    store: LineageStore,
    datasets: DatasetStore,
    failed: Callable[[Exception], None],
) -> Eraser:
    """Events of this service hold nothing of a person."""

    async def erase(transaction: Transaction, wanted: Erasure) -> Mapping[str, int]:
        connection, tenant, user = transaction.connection, wanted.tenant, wanted.subject
        person, moment = Thing(Kind.USER, user), datetime.fromtimestamp(wanted.until, UTC)
        learnt_from = await _datasets_of(store, tenant, person)
        for dataset_id in learnt_from:
            await _erase_rows(datasets, dataset_id)
        await source_erasure.take_turn(connection, tenant, alone=True)
        rated = sa.select(sa.func.count()).where(
            judgements.c.tenant == tenant,
            judgements.c.rater_key == user_key(tenant, user),
            judgements.c.time <= wanted.until,
        )
        said = int(await connection.scalar(rated) or 0)
        answers = await source_erasure.erase_user(connection, tenant, user, wanted.until)
        edges = await lineage.forget(connection, tenant, person, moment)
        return {
            "answers": answers,
            "judgements": said,
            "datasets": len(learnt_from),
            "lineage_edges": edges,
        }

    return Eraser(database, erase, says(SourcesForgotten), {}, failed=failed)


async def _datasets_of(store: LineageStore, tenant: str, person: Thing) -> list[str]:
    """Made of the person's answers or judgements, or of judgements of those answers."""
    fringe, seen = [person], {person}
    while fringe:
        reached: list[Thing] = []
        for start in range(0, len(fringe), PAGE):
            reached += await _later(store, tenant, fringe[start : start + PAGE])
        fringe = [one for one in dict.fromkeys(reached) if one not in seen]
        seen.update(fringe)
        fringe = [one for one in fringe if one.kind is not Kind.DATASET]
    return sorted(one.id for one in seen if one.kind is Kind.DATASET)


async def _later(store: LineageStore, tenant: str, things: list[Thing]) -> list[Thing]:
    found, last = [], None
    while page := await store.next(tenant, things, Direction.FORWARD, PAGE, last):
        found += [one.later for one in page]
        last = page[-1]
    return found


async def _erase_rows(datasets: DatasetStore, dataset_id: str) -> None:
    try:
        await datasets.erase(dataset_id)
    except DatasetUnknown:
        return  # a person removed its folder
