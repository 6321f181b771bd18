"""What was heard of the gates of rollouts, as rows: verdict and approval come in any order."""

from __future__ import annotations

import sqlalchemy as sa
from gyre_runtime.database.transaction import upsert
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.tables import rollout_gates
from gyre_inference.domain.gates import Approval, Decision, GateWord

_WORD = TypeAdapter(GateWord)


async def word_of(connection: AsyncConnection, tenant: str, rollout_id: str) -> GateWord:
    """See `Rollouts.gate`."""
    table = rollout_gates
    here = table.c.tenant == tenant, table.c.rollout_id == rollout_id
    content = await connection.scalar(sa.select(table.c.content).where(*here))
    return GateWord() if content is None else _WORD.validate_python(content)


async def keep_word(
    connection: AsyncConnection, tenant: str, rollout_id: str, said: Decision | Approval
) -> None:
    """The caller holds the revision's row: nobody else writes meanwhile."""
    known = await word_of(connection, tenant, rollout_id)
    content = _WORD.dump_python(known.after(said), mode="json")
    row = {"tenant": tenant, "rollout_id": rollout_id, "content": content}
    await connection.execute(upsert(connection, rollout_gates, ["content"]), row)
