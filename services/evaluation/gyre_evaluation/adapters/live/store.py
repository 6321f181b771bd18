"""`LiveStore` in the service's database, SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from gyre_runtime.database import Database

from gyre_evaluation.adapters.live import activity, alerting, drifting, pending, scoring
from gyre_evaluation.adapters.live.record import DatabaseLiveRecord
from gyre_evaluation.adapters.live.tables import pending as pending_table
from gyre_evaluation.adapters.live.tables import windows as windows_table
from gyre_evaluation.domain.alerts import Acknowledgement, KnownAlert
from gyre_evaluation.domain.drift.traffic import Check, Observation, Progress, Traffic
from gyre_evaluation.domain.windows import GroupKind, Moments, WindowKey
from gyre_evaluation.ports import JudgementPlace, Waiting
from gyre_evaluation.wire.alerts import alert_acknowledged

TWO_DAYS = timedelta(days=2)
LONGEST_KEPT = timedelta(days=400)
"""As long as the bus keeps what is asked for in audits."""


class DatabaseLiveStore:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[DatabaseLiveRecord]:
        async with self._database.transaction() as transaction:
            yield DatabaseLiveRecord(transaction)

    async def claim(self, now: datetime, limit: int, lease: timedelta) -> list[Waiting]:
        moment = now.timestamp()
        async with self._database.reading() as connection:
            if not await pending.are_due(connection, moment):
                return []  # a look costs no write
        async with self._database.transaction(aside=True) as transaction:
            seconds = lease.total_seconds()
            return await pending.claim(transaction.connection, moment, limit, seconds)

    async def waiting(self) -> int:
        query = sa.select(sa.func.count()).select_from(pending_table)
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    async def postpone(self, waiting: Waiting, until: datetime) -> None:
        async with self._database.transaction(aside=True) as transaction:
            again = waiting.stage, waiting.attempts + 1, until.timestamp()
            await pending.postpone(transaction.connection, waiting, *again)

    async def place_of(self, tenant: str, feedback_id: str, metric: str) -> JudgementPlace | None:
        async with self._database.reading() as connection:
            return await scoring.place_of(connection, tenant, feedback_id, metric)

    async def progress(self, tenant: str | None, scope: str = "") -> list[Progress]:
        async with self._database.reading() as connection:
            return await drifting.progress(connection, tenant, scope)

    async def sample(self, of: Progress, numbers: range) -> list[Observation]:
        async with self._database.reading() as connection:
            return await drifting.sample(connection, of, numbers)

    async def checks(self, of: Progress, limit: int) -> list[Check]:
        async with self._database.reading() as connection:
            return await drifting.newest(connection, of, limit)

    async def reset(self, traffic: Traffic) -> bool:
        async with self._database.transaction() as transaction:
            return await drifting.reset(transaction.connection, traffic)

    async def windows(
        self,
        tenant: str,
        period: tuple[datetime, datetime],
        kind: GroupKind,
        cut: str = "",
        metrics: Sequence[str] = (),
    ) -> list[tuple[WindowKey, Moments]]:
        first, last = (int(time.timestamp()) for time in period)
        async with self._database.reading() as connection:
            return await scoring.read_windows(connection, tenant, (first, last), kind, cut, metrics)

    async def tenants(self, since: datetime) -> list[str]:
        recent = windows_table.c.start >= int(since.timestamp())
        query = sa.select(windows_table.c.tenant).distinct().where(recent)
        async with self._database.reading() as connection:
            return sorted((await connection.execute(query)).scalars())

    async def alerts(
        self, tenant: str, limit: int, *, before: tuple[float, str] | None, open_only: bool
    ) -> list[KnownAlert]:
        async with self._database.reading() as connection:
            return await alerting.newest(
                connection, tenant, limit, before=before, open_only=open_only
            )

    async def acknowledge(
        self, tenant: str, alert_id: str, by: Acknowledgement
    ) -> KnownAlert | None:
        async with self._database.transaction() as transaction:
            known = await alerting.acknowledge(transaction.connection, tenant, alert_id, by)
            if known is not None and known.acknowledged is not None:
                event = alert_acknowledged(known.alert, known.acknowledged)
                transaction.say(event, tenant=tenant, entity_id=alert_id, cause=alert_id)
        return known

    async def forget(self, now: datetime, keep: timedelta) -> None:
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            await activity.forget(connection, (now.astimezone(UTC) - TWO_DAYS).timestamp())
            await scoring.forget(connection, (now - keep).timestamp())
            await drifting.forget(connection, (now - keep).timestamp())
            alerts_before = (now - LONGEST_KEPT).timestamp()
            await alerting.forget(connection, (now - keep).timestamp(), alerts_before)
