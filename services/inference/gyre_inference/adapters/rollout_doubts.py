"""Judgements that were taken back or are doubted, as rows, while a rollout of the tenant runs."""

from __future__ import annotations

import sqlalchemy as sa
from gyre_runtime.database.transaction import upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.tables import rollout_doubts, rollouts
from gyre_inference.domain.rollouts import Doubt


async def keep_doubt(connection: AsyncConnection, tenant: str, doubt: Doubt) -> None:
    """See `Rollouts.doubt`. The caller holds the revision's row."""
    runs = rollouts.c.tenant == tenant, sa.not_(rollouts.c.is_over)
    if await connection.scalar(sa.select(rollouts.c.rollout_id).where(*runs).limit(1)) is None:
        return
    table = rollout_doubts
    here = table.c.tenant == tenant, table.c.feedback_id == doubt.feedback_id
    known = (await connection.execute(sa.select(table).where(*here))).first()
    if known is not None and (known.revision, known.rank) >= (doubt.revision, doubt.rank):
        return
    row = {
        "tenant": tenant,
        "feedback_id": doubt.feedback_id,
        "revision": doubt.revision,
        "rank": doubt.rank,
        "counts": doubt.counts,
    }
    await connection.execute(upsert(connection, table, ["revision", "rank", "counts"]), row)


async def forget_doubts(connection: AsyncConnection, tenant: str) -> None:
    """Once no rollout of the tenant runs: the one that ended is over by then."""
    runs = rollouts.c.tenant == tenant, sa.not_(rollouts.c.is_over)
    if await connection.scalar(sa.select(rollouts.c.rollout_id).where(*runs).limit(1)) is None:
        await connection.execute(sa.delete(rollout_doubts).where(rollout_doubts.c.tenant == tenant))
