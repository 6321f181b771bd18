"""Declared metrics in the service's database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore

from gyre_feedback.adapters.tables import metrics
from gyre_feedback.domain.metrics import RESERVED, Metric
from gyre_feedback.wire import metric_from, metric_to


class DatabaseMetrics:
    """`Metrics`. What was found once is remembered: it never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], Metric] = {}

    async def get(self, tenant: str, name: str) -> Metric | None:
        found = RESERVED.get(name) or self._known.get((tenant, name))
        if found is None:
            found = await self._read(tenant, name)
            if found is not None:
                self._known[tenant, name] = found
        return found

    async def declare(self, tenant: str, metric: Metric) -> Metric:
        row = {"tenant": tenant, "name": metric.name, "body": _body(metric)}
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await connection.execute(insert_ignore(connection, metrics), row)
            here = metrics.c.tenant == tenant, metrics.c.name == metric.name
            body = await connection.scalar(sa.select(metrics.c.body).where(*here))
            known = _metric(body or b"")
            if known.same(metric):
                change = metrics.update().where(*here).values(body=row["body"])
                await connection.execute(change)
                known = metric
        self._known[tenant, metric.name] = known
        return known

    async def list(self, tenant: str, after: str, limit: int) -> Sequence[Metric]:
        query = (
            sa.select(metrics.c.body)
            .where(metrics.c.tenant == tenant, metrics.c.name > after)
            .order_by(metrics.c.name)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [_metric(body) for body in await connection.scalars(query)]

    async def _read(self, tenant: str, name: str) -> Metric | None:
        query = sa.select(metrics.c.body).where(metrics.c.tenant == tenant, metrics.c.name == name)
        async with self._database.reading() as connection:
            body = await connection.scalar(query)
        return None if body is None else _metric(body)


def _body(metric: Metric) -> bytes:
    return metric_to(metric).SerializeToString(deterministic=True)


def _metric(body: bytes) -> Metric:
    return metric_from(pb.Metric.FromString(body))
