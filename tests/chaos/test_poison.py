"""Poison, repeats and disorder on the bus: each poison is set aside, the innocent are applied."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from random import Random

import pytest
from gyre.embedding.v1.events_pb2 import ChunksEmbedded
from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentDeleted
from gyre_client import DocumentState, Gyre
from gyre_runtime.bus.redrive import DeadLetter, dead_letters
from nats.js import JetStreamContext

from tests.chaos import check
from tests.chaos.actors import Author, Noted
from tests.chaos.patience import short_ack_wait
from tests.chaos.poisons import poisons
from tests.platform import ledger
from tests.platform.ledger import Recorded
from tests.platform.running import RunningPlatform

pytestmark = pytest.mark.models
TENANT = "globex"
STREAMS = ("INGESTION", "EMBEDDING", "RETRIEVAL")
KEPT = ("ce-", "content-type")
COPIES = 3
KILLS = 3
RECEIVED = "ingestion-document_received"


@pytest.fixture
async def gyre(platform: RunningPlatform) -> AsyncIterator[Gyre]:
    async with platform.client(TENANT) as gyre:
        yield gyre


@pytest.fixture
def author(gyre: Gyre, request: pytest.FixtureRequest) -> Author:
    name = request.node.name.removeprefix("test_")[:16].replace("_", "")
    return Author(gyre, (TENANT, name), name, request.node.name, Noted())


@pytest.fixture(autouse=True)
async def _letters_are_removed(
    jetstream: JetStreamContext, letters_before: int
) -> AsyncIterator[None]:
    """What these tests set aside is no business of the tests after them."""
    yield
    for letter in await new_letters(jetstream, letters_before):
        await jetstream.delete_msg("DEADLETTERS", letter.sequence)


async def new_letters(jetstream: JetStreamContext, before: int) -> list[DeadLetter]:
    return [one async for one in dead_letters(jetstream) if one.sequence > before]


def content_of(message: Recorded) -> dict[str, str]:
    """The headers that belong to the event, not to the way it came."""
    return {name: value for name, value in message.headers.items() if name.lower().startswith(KEPT)}


def of_collection(messages: Iterable[Recorded], collection: str) -> list[Recorded]:
    mark = collection.encode()
    return [one for one in messages if mark in one.body]


async def publish_again(
    jetstream: JetStreamContext, messages: Sequence[Recorded], seed: int, *, tenant: str = TENANT
) -> None:
    """Three times each, in any order, past the bus's own window: other ids of the message, the
    same id of the event."""
    copies = [(one, number) for one in messages for number in range(COPIES)]
    Random(seed).shuffle(copies)
    for message, number in copies:
        headers = content_of(message) | {"Nats-Msg-Id": f"{message.event_id}/{tenant}/{number}"}
        subject = message.subject.removesuffix(message.tenant) + tenant
        await jetstream.publish(subject, message.body, headers=headers)


async def state_of(platform: RunningPlatform, author: Author) -> tuple[object, ...]:
    """What the stores hold of the author's collection."""
    held = await asyncio.to_thread(ledger.milvus_rows, platform)
    keys = Counter(one.key for one in held if one.collection == author.collection)
    place = (author.tenant, author.collection)
    where = "FROM documents WHERE tenant = ? AND collection = ? ORDER BY document_id"
    columns = "document_id, state, revision, attempt, indexed_revision, change"
    known = ledger.rows(platform, "ingestion", f"SELECT {columns} {where}", *place)
    columns = "document_id, revision, attempt, deleted_revision, chunk_count, generation"
    found = ledger.rows(platform, "retrieval", f"SELECT {columns} {where}", *place)
    return keys, known, found


async def write_a_history(author: Author) -> None:
    """Documents that stay, change and go."""
    for number in range(5):
        await author.upload(f"{number}.md", "uploads")
    for name in ("0.md", "1.md", "1.md"):
        await author.upload(name, "updates")
    await author.delete("2.md")
    await author.delete("3.md")
    await author.upload("3.md", "uploads")


async def test_every_poison_is_set_aside_with_its_reason_and_the_innocent_are_indexed(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    letters_before: int,
) -> None:
    await author.upload("first.md", "uploads")
    await ledger.drained(platform, jetstream)
    expected: dict[tuple[str, str, int], str] = {}
    for number, poison in enumerate(poisons(TENANT, author.collection)):
        said = await jetstream.publish(poison.subject, poison.body, headers=dict(poison.headers))
        for listener, reason in poison.reasons.items():
            expected[listener, said.stream, said.seq] = reason
        if number % 5 == 0:
            await author.upload(f"innocent-{number}.md", "uploads")
    await ledger.drained(platform, jetstream)

    letters = await new_letters(jetstream, letters_before)
    found = {(one.listener, one.origin_stream, one.origin_sequence): one.reason for one in letters}
    assert found == expected
    assert len(letters) == len(expected)
    assert all(one.detail for one in letters)
    await check.check_documents(gyre, author)
    await check.check_milvus(platform, jetstream, [author])
    await check.check_balances(platform, jetstream)


async def test_a_redriven_letter_goes_back_to_its_own_listener_alone(
    platform: RunningPlatform, jetstream: JetStreamContext, author: Author, letters_before: int
) -> None:
    await author.upload("first.md", "uploads")
    await ledger.drained(platform, jetstream)
    spoiled = next(
        one for one in poisons(TENANT, author.collection) if one.name == "vector_not_finite"
    )
    headers = {**spoiled.headers, "ce-id": f"spoiled-{time.time_ns()}"}
    await jetstream.publish(spoiled.subject, spoiled.body, headers=headers)
    await ledger.drained(platform, jetstream)
    [letter] = await new_letters(jetstream, letters_before)

    done = await asyncio.to_thread(
        platform.command_line, "deadletters", "redrive", str(letter.sequence)
    )
    assert done.returncode == 0, done.stderr
    await ledger.drained(platform, jetstream)
    [again] = await new_letters(jetstream, letters_before)
    assert again.sequence > letter.sequence
    assert again.origin_sequence > letter.origin_sequence
    assert (again.listener, again.reason, again.event_id, again.attempts) == (
        "retrieval",
        "vector_not_finite",
        letter.event_id,
        1,
    )
    await check.check_balances(platform, jetstream)


async def test_events_repeated_three_times_in_any_order_past_the_window_change_nothing(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    letters_before: int,
) -> None:
    await write_a_history(author)
    await ledger.drained(platform, jetstream)
    before = await state_of(platform, author)
    recorded = {name: await ledger.recorded(jetstream, name) for name in STREAMS}
    mine = [one for name in STREAMS for one in of_collection(recorded[name], author.collection)]
    await publish_again(jetstream, mine, seed=7)
    await ledger.drained(platform, jetstream)

    assert await state_of(platform, author) == before
    for name in STREAMS:
        repeated = COPIES * len(of_collection(recorded[name], author.collection))
        held = (await jetstream.stream_info(name)).state.messages
        assert held == len(recorded[name]) + repeated, f"{name} grew by what nobody said"
    assert await new_letters(jetstream, letters_before) == []
    await check.check_documents(gyre, author)
    await check.check_milvus(platform, jetstream, [author])
    await check.check_balances(platform, jetstream)


async def test_a_history_heard_in_any_order_ends_as_the_ordered_one(
    platform: RunningPlatform, jetstream: JetStreamContext, author: Author, letters_before: int
) -> None:
    """The vectors and deletions of one tenant are said again for another one, shuffled."""
    await write_a_history(author)
    await ledger.drained(platform, jetstream)
    recorded = [one for name in STREAMS for one in await ledger.recorded(jetstream, name)]
    mine = of_collection(recorded, author.collection)
    kinds = (ChunksEmbedded, DocumentDeleted)
    heard = [one for kind in kinds for one, _ in ledger.of_type(mine, kind)]
    await publish_again(jetstream, heard, seed=11, tenant="mirror")
    await ledger.drained(platform, jetstream)

    live = {
        (one.document.document_id, one.document.revision)
        for one in author.promised.values()
        if not one.deleted
    }
    expected = Counter(
        ledger.key_of("mirror", event, chunk.chunk_id)
        for _, event in ledger.of_type(mine, DocumentChunked)
        if (event.revision.document_id, event.revision.revision) in live
        for chunk in event.chunks
    )
    rows = await asyncio.to_thread(ledger.milvus_rows, platform)
    assert Counter(one.key for one in rows if one.tenant == "mirror") == expected
    assert expected.total() >= len(live)
    assert await new_letters(jetstream, letters_before) == []
    await check.check_balances(platform, jetstream)


def standing_of(platform: RunningPlatform, event_id: str) -> tuple[int, bool]:
    """Starts of which no end is known, and whether it is among the dead letters."""
    query = "SELECT open_starts, dead_time FROM gyre_inbox WHERE consumer = ? AND event_key = ?"
    found = ledger.rows(platform, "ingestion", query, RECEIVED, f"{TENANT}/{event_id}")
    return (found[0][0], found[0][1] is not None) if found else (0, False)


def kill_at_every_start(platform: RunningPlatform, event_id: str) -> int:
    """kill -9 of ingestion each time it handles the event, until it is set aside; how often."""
    kills = 0
    deadline = time.monotonic() + 180
    while True:
        starts, dead = standing_of(platform, event_id)
        if dead:
            return kills
        if starts > kills:
            platform.kill("ingestion")
            kills += 1
            platform.wait_healthy(["ingestion"])
        if time.monotonic() > deadline:
            raise TimeoutError(f"not set aside after {kills} kills, {starts} starts")
        time.sleep(0.005)


async def test_a_document_that_kills_its_process_is_set_aside_and_comes_back_by_redrive(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    letters_before: int,
) -> None:
    text = "\n\n".join(f"Paragraph {n} of the killer speaks of roaming." for n in range(2000))
    async with short_ack_wait(jetstream, RECEIVED, 4.0):
        killer = (
            await gyre.documents.upload(
                text.encode(), source_uri="killer.md", collection=author.collection
            )
        ).document
        newest = "SELECT event_id FROM gyre_outbox ORDER BY position DESC LIMIT 1"
        [(event_id,)] = ledger.rows(platform, "ingestion", newest)
        killing = asyncio.create_task(asyncio.to_thread(kill_at_every_start, platform, event_id))
        for number in range(4):
            await author.upload(f"innocent-{number}.md", "uploads")
        assert await killing == KILLS
        await ledger.drained(platform, jetstream)
        [letter] = await new_letters(jetstream, letters_before)
        assert (letter.reason, letter.event_id) == ("process_killer", event_id)
        await check.check_documents(gyre, author)
        assert (await gyre.documents.get(killer.document_id)).state is DocumentState.REJECTED

        done = await asyncio.to_thread(
            platform.command_line, "deadletters", "redrive", str(letter.sequence)
        )
        assert done.returncode == 0, done.stderr
        await ledger.drained(platform, jetstream)
    assert (await gyre.documents.get(killer.document_id)).state is DocumentState.INDEXED
    assert await new_letters(jetstream, letters_before) == []
    await check.check_balances(platform, jetstream)
