"""Alerts: raised once for a cause, then quiet for a time; kept until long after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Transaction
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.live.sums import make, put
from gyre_evaluation.adapters.live.tables import alerts, causes
from gyre_evaluation.domain.alerts import (
    Acknowledgement,
    Alert,
    AlertKind,
    KnownAlert,
    Severity,
    is_quiet,
)
from gyre_evaluation.wire.alerts import alert_raised


async def raise_alert(transaction: Transaction, alert: Alert, cool_down: timedelta) -> bool:
    """Keeps it and says it; False where its cause is quiet, then it is counted as a repetition."""
    connection = transaction.connection
    known = await _cause(connection, alert.tenant, alert.cause)
    if known is not None and is_quiet(_time(known.last_time), alert.raise_time, cool_down):
        repeated = sa.update(alerts).where(alerts.c.alert_id == known.alert_id)
        await connection.execute(repeated.values(repeats=alerts.c.repeats + 1))
        return False
    if not await make(connection, alerts, _row(alert)):
        return False
    await _note(connection, alert.tenant, alert.cause, alert.raise_time, alert.alert_id)
    transaction.say(alert_raised(alert), tenant=alert.tenant, entity_id=alert.alert_id)
    return True


async def newly(
    transaction: Transaction, tenant: str, cause: str, time: datetime, cool_down: timedelta
) -> bool:
    """Notes a cause that has no alert of its own; False where it is quiet."""
    known = await _cause(transaction.connection, tenant, cause)
    if known is not None and is_quiet(_time(known.last_time), time, cool_down):
        return False
    await _note(transaction.connection, tenant, cause, time, "")
    return True


async def acknowledge(
    connection: AsyncConnection, tenant: str, alert_id: str, by: Acknowledgement
) -> KnownAlert | None:
    """The first one stays; None where there is no such alert."""
    which = sa.and_(alerts.c.tenant == tenant, alerts.c.alert_id == alert_id)
    fresh = sa.and_(which, alerts.c.acknowledge_time.is_(None))
    seen = {
        "acknowledged_by": by.principal,
        "acknowledge_time": by.time.timestamp(),
        "comment": by.comment,
    }
    await connection.execute(sa.update(alerts).where(fresh).values(**seen))
    row = (await connection.execute(sa.select(alerts).where(which))).one_or_none()
    return None if row is None else _known(row)


async def newest(
    connection: AsyncConnection,
    tenant: str,
    limit: int,
    *,
    before: tuple[float, str] | None,
    open_only: bool,
) -> list[KnownAlert]:
    """Newest first; before: time and id of the last one of the page before."""
    query = sa.select(alerts).where(alerts.c.tenant == tenant)
    if open_only:
        query = query.where(alerts.c.acknowledge_time.is_(None))
    if before is not None:
        query = query.where(sa.tuple_(alerts.c.raise_time, alerts.c.alert_id) < sa.tuple_(*before))
    order = alerts.c.raise_time.desc(), alerts.c.alert_id.desc()
    rows = await connection.execute(query.order_by(*order).limit(limit))
    return [_known(row) for row in rows]


async def forget(connection: AsyncConnection, causes_before: float, alerts_before: float) -> None:
    """Causes that were last raised, and alerts that were raised, before these times."""
    await connection.execute(sa.delete(causes).where(causes.c.last_time < causes_before))
    await connection.execute(sa.delete(alerts).where(alerts.c.raise_time < alerts_before))


async def _cause(connection: AsyncConnection, tenant: str, cause: str) -> Any:
    query = sa.select(causes).where(causes.c.tenant == tenant, causes.c.cause == cause)
    return (await connection.execute(query.with_for_update())).one_or_none()


async def _note(
    connection: AsyncConnection, tenant: str, cause: str, time: datetime, alert_id: str
) -> None:
    row = {"tenant": tenant, "cause": cause, "last_time": time.timestamp(), "alert_id": alert_id}
    await put(connection, causes, row)


def _row(alert: Alert) -> dict[str, Any]:
    body = asdict(alert) | {
        "raise_time": alert.raise_time.isoformat(),
        "until": alert.until and alert.until.isoformat(),
    }
    return {
        "alert_id": alert.alert_id,
        "tenant": alert.tenant,
        "raise_time": alert.raise_time.timestamp(),
        "body": body,
        "repeats": 0,
        "acknowledged_by": "",
        "acknowledge_time": None,
        "comment": "",
    }


def _known(row: Any) -> KnownAlert:
    seen = row.acknowledge_time
    by = Acknowledgement(row.acknowledged_by, _time(seen), row.comment) if seen else None
    return KnownAlert(_alert(row.body), row.repeats, by)


def _alert(body: Mapping[str, Any]) -> Alert:
    known = {
        "kind": AlertKind(body["kind"]),
        "severity": Severity(body["severity"]),
        "raise_time": datetime.fromisoformat(body["raise_time"]),
        "until": datetime.fromisoformat(body["until"]) if body["until"] else None,
        "answer_ids": tuple(body["answer_ids"]),
    }
    return Alert(**{**body, **known})


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
