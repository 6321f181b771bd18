"""Judgements that were taken back or are doubted, as rows, while a rollout of the tenant runs, or
an experiment whose shares move."""

from __future__ import annotations

import sqlalchemy as sa
from gyre_runtime.database.transaction import upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.tables import experiments, rollout_doubts
from gyre_inference.domain.rollouts import PREFIX, Doubt


async def keep_doubt(connection: AsyncConnection, tenant: str, doubt: Doubt) -> None:
    """See `Rollouts.doubt`. The caller holds the revision's row."""
    if not await _matter(connection, tenant):
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


def is_doubted(tenant: str, source: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """source: of the judgement."""
    doubts = rollout_doubts
    out = sa.select(doubts.c.feedback_id).where(
        doubts.c.tenant == tenant, doubts.c.feedback_id == source, sa.not_(doubts.c.counts)
    )
    return out.exists()


async def forget_doubts(connection: AsyncConnection, tenant: str) -> None:
    """Once nothing of the tenant counts judgements: what ended is over by then."""
    if not await _matter(connection, tenant):
        await connection.execute(sa.delete(rollout_doubts).where(rollout_doubts.c.tenant == tenant))


async def _matter(connection: AsyncConnection, tenant: str) -> bool:
    """A rollout's experiment runs as long as the rollout."""
    query = sa.select(experiments.c.experiment_id, experiments.c.content)
    running = experiments.c.tenant == tenant, experiments.c.stop_time.is_(None)
    rows = (await connection.execute(query.where(*running))).all()
    return any(name.startswith(PREFIX) or content.get("allocation") for name, content in rows)
