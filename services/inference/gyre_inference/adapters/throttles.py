"""`Throttles` in the service's database."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import upsert

from gyre_inference.adapters.tables import throttles
from gyre_inference.domain.throttles import Throttle

_TOLD = ["principal", "end_user", "until", "reason"]


class DatabaseThrottles:
    """A row for each alert; `lifted` stays, whichever event came first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hold(self, throttle: Throttle) -> None:
        row = {
            "tenant": throttle.tenant,
            "alert_id": throttle.alert_id,
            "principal": throttle.principal,
            "end_user": throttle.end_user,
            "until": throttle.until.timestamp(),
            "reason": throttle.reason,
            "lifted": False,
        }
        async with self._database.transaction() as transaction:
            statement = upsert(transaction.connection, throttles, _TOLD)
            await transaction.connection.execute(statement, row)

    async def lift(self, tenant: str, alert_id: str) -> None:
        row = {
            "tenant": tenant,
            "alert_id": alert_id,
            "principal": "",
            "end_user": "",
            "until": 0.0,
            "reason": "",
            "lifted": True,
        }
        async with self._database.transaction() as transaction:
            statement = upsert(transaction.connection, throttles, ["lifted"])
            await transaction.connection.execute(statement, row)

    async def in_force(self, now: datetime) -> list[Throttle]:
        query = sa.select(throttles).where(
            throttles.c.until > now.timestamp(), sa.not_(throttles.c.lifted)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Throttle(
                row.alert_id,
                row.tenant,
                row.principal,
                row.end_user,
                datetime.fromtimestamp(row.until, UTC),
                row.reason,
            )
            for row in rows
        ]
