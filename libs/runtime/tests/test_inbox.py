"""The inbox counts starts and marks ends, many in one commit, each for itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from gyre_runtime.bus.attempts import Standing
from gyre_runtime.bus.inbox import InboxAttempts
from gyre_runtime.database import AlreadyApplied, Database
from gyre_runtime.events.envelope import Envelope
from gyre_runtime.events.handling import Handling


@pytest.fixture
async def database():
    made = Database("sqlite+aiosqlite://", sa.MetaData())
    await made.start()
    yield made
    await made.stop()


def handling(event_id: str, sequence: int) -> Handling:
    envelope = Envelope(event_id, "", "", datetime.now(UTC), "", "acme", "", "")
    return Handling("embedding-document_chunked", envelope, "INGESTION", sequence)


async def begin(attempts: InboxAttempts, event: Handling) -> Standing:
    start = await attempts.begin(event, deliveries=1, redrive="", alone=False)
    return start.standing


async def test_events_that_end_together_are_each_marked_and_not_begun_again(database):
    attempts = InboxAttempts(database)
    events = [handling(f"e{number}", number) for number in range(5)]
    begun = await asyncio.gather(*(begin(attempts, event) for event in events))
    await asyncio.gather(*(attempts.applied(event) for event in events[:3]))
    again = await asyncio.gather(*(begin(attempts, event) for event in events))
    assert begun == [Standing.FRESH] * 5
    assert [event.applied for event in events] == [True] * 3 + [False] * 2
    assert again == [Standing.APPLIED] * 3 + [Standing.SUSPECT] * 2


async def test_of_two_deliveries_of_an_event_that_end_together_one_is_applied(database):
    attempts = InboxAttempts(database)
    twice = [handling("same", 1), handling("same", 2)]
    await asyncio.gather(*(begin(attempts, event) for event in twice))
    first, second = await asyncio.gather(
        *(attempts.applied(event) for event in twice), return_exceptions=True
    )
    assert first is None
    assert isinstance(second, AlreadyApplied)


async def test_a_handlers_own_transaction_and_a_shared_one_exclude_each_other(database):
    attempts = InboxAttempts(database)
    event = handling("e", 1)
    await begin(attempts, event)
    await attempts.applied(event)
    async with database.transaction(aside=True) as transaction:
        with pytest.raises(AlreadyApplied):
            await transaction.apply(event)
