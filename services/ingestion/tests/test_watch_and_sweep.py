import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from gyre_ingestion.domain.documents import DocumentState
from gyre_ingestion.domain.facts import Received
from gyre_ingestion.domain.rules import RuleError
from gyre_ingestion.ports import ContentMissingError, Selection
from gyre_ingestion.use_cases.watch import WatchEndedError

ALL = Selection("default")


async def take(documents: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(documents), 150) for _ in range(count)]


async def test_a_watch_shows_what_is_there_then_every_change(story: Any) -> None:
    await story.stored("a", "First text.")
    async with aclosing(story.watch.watch("acme", ALL)) as documents:
        [first] = await take(documents, 1)
        assert (first.source_uri, first.state) == ("a", DocumentState.CHUNKED)
        await story.upload("b", "Second text.")
        [second] = await take(documents, 1)
        assert (second.source_uri, second.state) == ("b", DocumentState.RECEIVED)
        await story.work_all()
        [third] = await take(documents, 1)
        assert (third.source_uri, third.state) == ("b", DocumentState.CHUNKED)


async def test_a_slow_watcher_misses_states_but_never_the_last_one(story: Any) -> None:
    async with aclosing(story.watch.watch("acme", ALL)) as documents:
        for text in ("one", "two", "three"):
            await story.stored("a", text)
        [seen] = await take(documents, 1)
        assert (seen.revision, seen.state) == (3, DocumentState.CHUNKED)


async def test_a_change_that_nobody_rang_for_is_seen_by_the_poll(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story.memory._bell, "ring", lambda *_: None)
    async with aclosing(story.watch.watch("acme", ALL)) as documents:
        waiting = asyncio.create_task(take(documents, 1))
        await asyncio.sleep(0.01)
        await story.upload("a", "text")
        [seen] = await waiting
    assert seen.source_uri == "a"


async def test_what_was_deleted_before_is_shown_only_to_who_asks_for_it(story: Any) -> None:
    gone = await story.stored("gone", "text")
    await story.manage.delete("acme", gone.document_id)
    await story.stored("here", "other text")
    async with aclosing(story.watch.watch("acme", ALL)) as documents:
        [seen] = await take(documents, 1)
        assert seen.source_uri == "here"
        await story.manage.delete("acme", seen.document_id)
        [seen] = await take(documents, 1)
        assert (seen.source_uri, seen.state) == ("here", DocumentState.DELETED)
    one = Selection("default", (gone.document_id,))
    async with aclosing(story.watch.watch("acme", one)) as documents:
        [seen] = await take(documents, 1)
        assert seen.state is DocumentState.DELETED


async def test_many_watchers_leave_nothing_behind(story: Any) -> None:
    async def look() -> None:
        async with aclosing(story.watch.watch("acme", ALL)) as documents:
            await anext(documents)

    watchers = [asyncio.create_task(look()) for _ in range(20)]
    await asyncio.sleep(0)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    assert not story.memory._bell._waiting


async def test_a_watch_of_more_documents_than_a_batch_shows_all(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gyre_ingestion.use_cases.watch._BATCH", 4)
    for number in range(10):
        await story.upload(str(number), f"Text {number}.")
    async with aclosing(story.watch.watch("acme", ALL)) as documents:
        seen = {document.source_uri for document in await take(documents, 10)}
    assert len(seen) == 10


async def test_watches_end_when_the_service_stops(story: Any) -> None:
    async with aclosing(story.watch.watch("acme", ALL)) as documents:
        waiting = asyncio.create_task(take(documents, 1))
        await asyncio.sleep(0)
        story.watch.end()
        with pytest.raises(WatchEndedError):
            await waiting


async def test_only_what_nothing_refers_to_is_swept_and_only_when_it_is_old(story: Any) -> None:
    kept = await story.stored("kept", "kept text")
    gone = await story.stored("gone", "gone text")
    old = await story.stored("newer", "first text")
    await story.stored("newer", "second text")
    await story.manage.delete("acme", gone.document_id)
    assert await story.sweep.run() == 0
    story.passes(minutes=11)
    assert await story.sweep.run() == 2
    assert await story.contents.get(kept.content) == b"kept text"
    for document in (gone, old):
        with pytest.raises(ContentMissingError):
            await story.contents.get(document.content)


async def test_an_original_that_another_document_shares_stays(story: Any) -> None:
    one = await story.stored("one", "text")
    two = await story.stored("two", "text")
    await story.manage.delete("acme", one.document_id)
    story.passes(minutes=11)
    assert await story.sweep.run() == 0
    await story.work_all()
    assert (await story.see(two)).state is DocumentState.CHUNKED


async def test_reprocessing_takes_what_is_selected_and_nothing_deleted(story: Any) -> None:
    good = await story.stored("good", "text")
    await story.stored("bad", "%PDF")
    gone = await story.stored("gone", "other text")
    await story.manage.delete("acme", gone.document_id)
    rejected = Selection("default", state=DocumentState.REJECTED)
    assert await story.manage.reprocess("acme", rejected) == 1
    assert await story.manage.reprocess("acme", Selection("default", (good.document_id,))) == 1
    assert await story.manage.reprocess("acme", ALL) == 2
    assert await story.manage.reprocess("acme", Selection("default", (gone.document_id,))) == 0
    attempts = [fact.document.attempt for fact in story.said(Received)]
    assert attempts == [1, 1, 1, 2, 2, 3, 3]


async def test_pages_end_and_odd_sizes_and_tokens_are_refused(story: Any) -> None:
    for number in range(5):
        await story.upload(str(number), f"Text {number}.")
    first = await story.browse.list("acme", ALL, 3, "")
    second = await story.browse.list("acme", ALL, 3, first.next_token)
    assert (len(first.documents), len(second.documents), second.next_token) == (3, 2, "")
    for size, token in ((-1, ""), (1001, ""), (10, "no token"), (10, "é"), (10, "AAAA")):
        with pytest.raises(RuleError):
            await story.browse.list("acme", ALL, size, token)
