"""One change of the registry: rows and events in one transaction."""

from __future__ import annotations

import sqlalchemy as sa
from google.protobuf.message import Message
from gyre.inference.v1 import events_pb2
from gyre_runtime.database import Transaction
from gyre_runtime.database.transaction import upsert

from gyre_inference.adapters.registry_rows import columns_of, find_version
from gyre_inference.adapters.tables import labels, moves, versions
from gyre_inference.domain.registry import PLATFORM, Holdings, Key, Kind, Move, Version

_REGISTERED: dict[Kind, type[Message]] = {
    Kind.PROMPT: events_pb2.PromptRegistered,
    Kind.CHAIN: events_pb2.ChainRegistered,
}
_PROMOTED: dict[Kind, type[Message]] = {
    Kind.PROMPT: events_pb2.PromptPromoted,
    Kind.CHAIN: events_pb2.ChainPromoted,
}


class DatabaseShelf:
    """See `Shelf`."""

    def __init__(self, transaction: Transaction, key: Key, held: Holdings, revision: int) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._key = key
        self._revision = revision
        self.held = held

    async def known(self, digest: str) -> Version | None:
        """See `Shelf`."""
        return await find_version(self._connection, self._key, versions.c.digest == digest)

    async def version(self, number: int) -> Version | None:
        """See `Shelf`."""
        return await find_version(self._connection, self._key, versions.c.number == number)

    async def keep(self, version: Version) -> None:
        """See `Shelf`."""
        row = columns_of(self._key) | {
            "number": version.number,
            "body": version.body,
            "digest": version.digest,
            "message": version.message,
            "author": version.author,
            "register_time": version.time.timestamp(),
        }
        await self._connection.execute(sa.insert(versions), row)
        event = _REGISTERED[self._key.kind]
        self._say(
            event(
                name=self._key.name,
                version=version.number,
                digest=version.digest,
                author=version.author,
                message=version.message,
            )
        )

    async def pin(self, label: str, number: int) -> None:
        """See `Shelf`."""
        row = columns_of(self._key) | {"label": label, "number": number, "revision": self._revision}
        await self._connection.execute(
            upsert(self._connection, labels, ["number", "revision"]), row
        )

    async def move(self, move: Move) -> None:
        """See `Shelf`."""
        await self.pin(move.label, move.to_number)
        row = columns_of(self._key) | {
            "label": move.label,
            "from_number": move.from_number,
            "to_number": move.to_number,
            "author": move.author,
            "message": move.message,
            "move_time": move.time.timestamp(),
        }
        await self._connection.execute(sa.insert(moves), row)
        event = _PROMOTED[self._key.kind]
        self._say(
            event(
                name=self._key.name,
                label=move.label,
                from_version=move.from_number,
                to_version=move.to_number,
                author=move.author,
                message=move.message,
            )
        )

    def _say(self, event: Message) -> None:
        """What the platform brings along is no news of a tenant."""
        if self._key.tenant != PLATFORM:
            self._transaction.say(event, tenant=self._key.tenant, entity_id=self._key.name)
