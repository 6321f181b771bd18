"""Trained models that wait for their rollout, as rows: one for each name, the newest."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from gyre_runtime.database.transaction import upsert
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.tables import rollout_wishes
from gyre_inference.domain.wishes import Wish

_WISH = TypeAdapter(Wish)


async def keep_wish(connection: AsyncConnection, wish: Wish) -> bool:
    """See `Rollouts.wish`. The caller holds the revision's row."""
    table = rollout_wishes
    query = sa.select(table.c.made).where(*_is(wish.tenant, wish.name))
    known = await connection.scalar(query)
    if known is not None and known >= wish.made.timestamp():
        return False
    row = {
        "tenant": wish.tenant,
        "name": wish.name,
        "made": wish.made.timestamp(),
        "waits": True,
        "content": _WISH.dump_python(wish, mode="json"),
    }
    await connection.execute(upsert(connection, table, ["made", "waits", "content"]), row)
    return True


async def waiting(connection: AsyncConnection) -> Sequence[Wish]:
    """See `Rollouts.wishes`."""
    table = rollout_wishes
    query = sa.select(table.c.content).where(table.c.waits).order_by(table.c.made)
    return [_WISH.validate_python(one) for one in (await connection.execute(query)).scalars()]


async def waits_no_more(connection: AsyncConnection, wish: Wish) -> None:
    """See `Rollouts.fulfilled`. The row stays: it says which one was the newest."""
    table = rollout_wishes
    here = *_is(wish.tenant, wish.name), table.c.made == wish.made.timestamp()
    await connection.execute(sa.update(table).where(*here).values(waits=False))


def _is(tenant: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return rollout_wishes.c.tenant == tenant, rollout_wishes.c.name == name
