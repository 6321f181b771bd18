"""What people thought of passages, in the service's database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gyre_retrieval.adapters.tables import helpfulness
from gyre_retrieval.domain.helpfulness import Opinion

_CHANGED = ("helpfulness", "votes", "revision")


class DatabaseHelpfulness:
    """`Helpfulness` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tenant: str, opinion: Opinion) -> None:
        row = {
            "tenant": tenant,
            "chunk_id": opinion.chunk_id,
            "metric": opinion.metric,
            "helpfulness": opinion.helpfulness,
            "votes": opinion.votes,
            "revision": opinion.revision,
        }
        async with self._database.transaction() as transaction:
            postgres = transaction.connection.dialect.name == "postgresql"
            new: Any = (postgres_insert if postgres else sqlite_insert)(helpfulness)
            put = new.on_conflict_do_update(
                index_elements=list(helpfulness.primary_key.columns),
                set_={name: new.excluded[name] for name in _CHANGED},
                where=new.excluded.revision > helpfulness.c.revision,
            )
            await transaction.connection.execute(put, row)

    async def of(self, tenant: str, chunk_ids: Sequence[str]) -> Mapping[str, float]:
        query = sa.select(
            helpfulness.c.chunk_id, helpfulness.c.helpfulness, helpfulness.c.votes
        ).where(helpfulness.c.tenant == tenant, helpfulness.c.chunk_id.in_(chunk_ids))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        total: dict[str, float] = defaultdict(float)
        weight: dict[str, float] = defaultdict(float)
        for chunk_id, value, votes in rows:
            total[chunk_id] += value * votes
            weight[chunk_id] += votes
        return {chunk_id: total[chunk_id] / votes for chunk_id, votes in weight.items() if votes}
