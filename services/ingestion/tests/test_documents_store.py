"""One contract for all stores of documents: the memory twin, SQLite, PostgreSQL."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from gyre.ingestion.v1.events_pb2 import DocumentReceived
from gyre_ingestion.adapters.documents import DatabaseDocuments
from gyre_ingestion.adapters.memory import MemoryDocuments
from gyre_ingestion.adapters.tables import MIGRATIONS, metadata
from gyre_ingestion.domain.documents import Content, Document, DocumentState, Held, Rejection
from gyre_ingestion.domain.facts import Received
from gyre_ingestion.domain.lifecycle import Arrival, Findings, cut, delete, embed, receive, refuse
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.ports import Selection
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import create_async_engine

NOW = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
ALL = Selection("default")
HOSTILE = "a'; DROP TABLE documents; --\n\"%_*\\ 名"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryDocuments()
        return
    url = url_of(request.param, tmp_path)
    if request.param == "postgres":
        await forget(url)
    database = Database(url, metadata, migrations=MIGRATIONS)
    await database.start()
    yield DatabaseDocuments(database)
    await database.stop()


async def forget(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    await engine.dispose()


def url_of(kind: str, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite+aiosqlite:///{folder}/documents.db"
    if url := os.environ.get("GYRE_TEST_POSTGRES_URL"):
        return url
    pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")


def document(uri: str, tenant: str = "acme", collection: str = "default") -> Document:
    content = Content(f"memory://{tenant}/{uri}", f"{hash(uri) & 0xFFFFFF:064x}", 10)
    arrival = Arrival(tenant, collection, uri, {"label": HOSTILE}, content)
    return receive(None, arrival, PersonalDataPolicy.MASK, NOW)


def findings(text_hash: str) -> Findings:
    return Findings(HOSTILE, "text/plain", "en", 2, 7, 3, text_hash)


async def save(store: Any, *documents: Document) -> None:
    for one in documents:
        async with store.changing(one.tenant, one.collection) as changes:
            await changes.save(one)


async def test_what_is_saved_is_what_is_found(store: Any) -> None:
    received = document(HOSTILE)
    chunked = cut(document("b"), findings("h"), NOW + timedelta(microseconds=1))
    rejection = Rejection(RejectionReason.DUPLICATE, "The same.", chunked.document_id)
    some = [received, embed(chunked, 1, NOW), refuse(document("c"), rejection, NOW)]
    some.append(delete(document("d"), NOW))
    await save(store, *some)
    assert [await store.get("acme", one.document_id) for one in some] == some


async def test_the_migrations_make_the_tables_that_are_declared(store: Any) -> None:
    if isinstance(store, MemoryDocuments):
        pytest.skip("memory has no tables")
    async with store._database.reading() as connection:
        differences = await connection.run_sync(
            lambda bound: compare_metadata(MigrationContext.configure(bound), metadata)
        )
    assert differences == []


async def test_saving_again_replaces(store: Any) -> None:
    first = document("a")
    second = cut(first, findings("h"), NOW)
    await save(store, first, second)
    assert await store.get("acme", first.document_id) == second
    assert await store.count("acme", ALL) == 1


async def test_no_tenant_sees_or_touches_what_is_another_s(store: Any) -> None:
    mine = cut(document("a", "acme"), findings("h"), NOW)
    theirs = cut(document("a", "other"), findings("h"), NOW)
    await save(store, mine, theirs)
    assert await store.get("other", mine.document_id) is None
    assert list(await store.list("other", ALL, "", 10)) == [theirs]
    assert await store.count("acme", Selection("default", (theirs.document_id,))) == 0
    assert [c.document for c in await store.changes_after("acme", ALL, (0, ""), 9)] == [mine]
    assert (await store.profile("other", "default")).documents == 1
    assert await store.holder_of_bytes("acme", "default", mine.content.sha256) == mine.document_id
    async with store.changing("acme", "default") as changes:
        assert await changes.get(theirs.document_id) is None
        assert await changes.holder("h") == mine.document_id
        with pytest.raises(ValueError, match="own collection"):
            await changes.save(theirs)
        await changes.redirect_copies(mine.document_id, theirs.document_id)
        await changes.set_fingerprint(mine.document_id, b"one", ["key"])
    async with store.changing("other", "default") as changes:
        assert await changes.alike(theirs.document_id, ["key"]) == {}


async def test_an_exception_undoes_everything(store: Any) -> None:
    await save(store, document("a"))
    before = await store.last_change("acme", "default")
    with pytest.raises(RuntimeError, match="on purpose"):
        await fail_midway(store)
    assert await store.count("acme", ALL) == 1
    assert await store.policy("acme", "default") is None
    assert await store.last_change("acme", "default") == before
    assert await said(store) == 0


async def fail_midway(store: Any) -> None:
    async with store.changing("acme", "default") as changes:
        await changes.save(document("b"))
        await changes.configure(PersonalDataPolicy.OFF)
        changes.say(Received(document("b")))
        raise RuntimeError("on purpose")


async def test_what_is_said_is_kept_with_what_is_saved(store: Any) -> None:
    one = document(HOSTILE)
    async with store.changing("acme", "default") as changes:
        await changes.save(one)
        changes.say(Received(one))
    assert await said(store) == 1


async def said(store: Any) -> int:
    """Events in the outbox, each readable."""
    if isinstance(store, MemoryDocuments):
        return len(store.said)
    outbox = metadata.tables["gyre_outbox"]
    async with store._database.reading() as connection:
        rows = (await connection.execute(sa.select(outbox.c.subject, outbox.c.body))).all()
    for subject, body in rows:
        assert subject == "gyre.ingestion.v1.document_received.acme"
        assert DocumentReceived.FromString(body).source.source_uri == HOSTILE
    return len(rows)


async def test_pages_follow_the_ids_and_leave_out_what_is_deleted(store: Any) -> None:
    some = sorted((document(str(n)) for n in range(7)), key=lambda one: one.document_id)
    await save(store, *some, delete(document("gone"), NOW))
    assert list(await store.list("acme", ALL, "", 3)) == some[:3]
    assert list(await store.list("acme", ALL, some[2].document_id, 9)) == some[3:]
    deleted = Selection("default", state=DocumentState.DELETED)
    assert (await store.count("acme", ALL), await store.count("acme", deleted)) == (7, 1)


async def test_changes_are_numbered_in_the_order_of_their_commits(store: Any) -> None:
    async def change(uri: str) -> None:
        async with store.changing("acme", "default") as changes:
            await changes.save(document(uri))

    await asyncio.gather(*(change(str(n)) for n in range(12)))
    seen: list[str] = []
    cursor = (0, "")
    while batch := await store.changes_after("acme", ALL, cursor, 5):
        cursor = (batch[-1].number, batch[-1].document.document_id)
        seen += [changed.document.source_uri for changed in batch]
    assert sorted(seen, key=int) == [str(n) for n in range(12)]
    assert cursor[0] == await store.last_change("acme", "default")


async def test_two_changes_of_one_document_at_once_are_both_kept(store: Any) -> None:
    one = cut(document("a"), findings("h"), NOW)
    await save(store, one)

    async def hear(part: int) -> None:
        async with store.changing("acme", "default") as changes:
            known = await changes.get(one.document_id)
            await asyncio.sleep(0.01)
            await changes.save(embed(known, part, NOW))

    await asyncio.gather(hear(0), hear(1))
    found = await store.get("acme", one.document_id)
    assert found.state is DocumentState.EMBEDDED


async def test_a_waiting_watcher_wakes_with_the_change(store: Any) -> None:
    await save(store, document("a"))
    number = await store.last_change("acme", "default")
    late = asyncio.create_task(store.await_change("acme", "default", number - 1, 60))
    assert await asyncio.wait({late}, timeout=60) == ({late}, set())
    waiting = asyncio.create_task(store.await_change("acme", "default", number, 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    await save(store, document("b"))
    assert await asyncio.wait({waiting}, timeout=60) == ({waiting}, set())


async def test_documents_that_wait_for_a_successor_are_found_by_it_and_by_age(store: Any) -> None:
    gone = replace(delete(document("gone"), NOW), successor="heir")
    await save(store, gone, document("other"))
    async with store.changing("acme", "default") as changes:
        assert await changes.leaving_for("heir") == [gone]
        assert await changes.leaving_for("another") == []
    assert await store.leaving_since(NOW + timedelta(seconds=1)) == [gone]
    assert await store.leaving_since(NOW) == []


async def test_copies_are_found_and_redirected(store: Any) -> None:
    original = replace(document("original"), held=Held("s", "h"))
    rejection = Rejection(RejectionReason.DUPLICATE, "The same.", original.document_id)
    copies = [refuse(document(f"copy {n}"), rejection, NOW) for n in range(3)]
    await save(store, original, *copies)
    first, *others = sorted(copies, key=lambda one: one.document_id)
    async with store.changing("acme", "default") as changes:
        assert await changes.holder("h") == original.document_id
        assert await changes.first_copy_of(original.document_id) == first
        await changes.save(replace(first, progress=replace(first.progress, rejection=None)))
        await changes.redirect_copies(original.document_id, first.document_id)
        assert await changes.first_copy_of(original.document_id) is None
    for other in others:
        found = await store.get("acme", other.document_id)
        assert found.duplicate_of == first.document_id


async def test_near_duplicates_are_kept_on_both_sides(store: Any) -> None:
    one, two, three = (document(name) for name in ("one", "two", "three"))
    await save(store, one, two, three)
    async with store.changing("acme", "default") as changes:
        await changes.set_fingerprint(one.document_id, b"1", ["a", "b", "a"])
        await changes.set_fingerprint(two.document_id, b"2", ["b", "c"])
        await changes.set_fingerprint(three.document_id, b"3", ["d"])
        assert await changes.alike(one.document_id, ["b", "a"]) == {two.document_id: b"2"}
        await changes.mark_near_duplicates(one.document_id, [two.document_id, three.document_id])
        await changes.mark_near_duplicates(one.document_id, [two.document_id])
    number = await store.last_change("acme", "default")
    found = {c.document.source_uri: c for c in await store.changes_after("acme", ALL, (0, ""), 9)}
    assert found["two"].document.near_duplicates == (one.document_id,)
    assert found["three"].document.near_duplicates == ()
    assert {uri: changed.number for uri, changed in found.items()} == dict.fromkeys(found, number)
    assert (await store.profile("acme", "default")).with_near_duplicates == 2
    async with store.changing("acme", "default") as changes:
        await changes.set_fingerprint(two.document_id, b"", ())
        await changes.mark_near_duplicates(two.document_id, ())
        assert await changes.alike(one.document_id, ["a", "b", "c"]) == {}
    assert (await store.get("acme", one.document_id)).near_duplicates == ()


async def test_a_collection_is_counted(store: Any) -> None:
    bad = Rejection(RejectionReason.CORRUPT, "It is damaged.")
    await save(store, cut(document("a"), findings("h"), NOW), document("b"))
    await save(store, refuse(document("c"), bad, NOW), delete(document("d"), NOW))
    async with store.changing("acme", "default") as changes:
        await changes.configure(PersonalDataPolicy.PSEUDONYMISE)
    profile = await store.profile("acme", "default")
    assert (profile.documents, profile.chunks, profile.size_bytes) == (3, 7, 30)
    assert profile.by_state == {"chunked": 1, "received": 1, "rejected": 1}
    assert (profile.by_media_type, profile.by_language) == ({"text/plain": 1}, {"en": 1})
    assert profile.by_reason == {"corrupt": 1}
    assert profile.policy is PersonalDataPolicy.PSEUDONYMISE
    assert (await store.profile("acme", "empty")).documents == 0


async def test_only_originals_of_living_newest_revisions_are_in_use(store: Any) -> None:
    kept, gone = document("kept"), delete(document("gone"), NOW)
    await save(store, kept, gone)
    hashes = {kept.content.sha256, gone.content.sha256, "0" * 64}
    assert await store.unused("acme", hashes) == {gone.content.sha256, "0" * 64}
    assert await store.unused("other", hashes) == hashes
