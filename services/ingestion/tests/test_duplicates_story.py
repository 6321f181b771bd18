"""A text is indexed once, and is found as long as any of its documents lives."""

from typing import Any

import pytest
from gyre_ingestion.domain.documents import Document, DocumentState
from gyre_ingestion.domain.duplicates import content_hash
from gyre_ingestion.domain.facts import Chunked, Deleted, Received, Refused
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.ports import Selection
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = "The tariff costs ten euro a month."
OTHER = "Roaming is free in the whole Union."


def is_copy_of(document: Document, original: Document) -> bool:
    rejection = document.progress.rejection
    return (
        rejection is not None
        and rejection.reason is RejectionReason.DUPLICATE
        and rejection.duplicate_of == original.document_id
    )


@pytest.mark.parametrize("same", [TEXT, TEXT.upper(), f"  {TEXT}\n\n"])
async def test_the_same_text_under_another_name_is_refused_and_says_of_what(
    story: Any, same: str
) -> None:
    original = await story.stored("original", TEXT)
    copy = await story.stored("copy", same)
    assert original.state is DocumentState.CHUNKED
    assert is_copy_of(copy, original)
    assert [refused.document.document_id for refused in story.said(Refused)] == [copy.document_id]
    assert len(story.said(Chunked)) == 1


async def test_another_collection_or_tenant_has_its_own_copy(story: Any) -> None:
    await story.stored("original", TEXT)
    assert (await story.stored("b", TEXT, collection="faq")).state is DocumentState.CHUNKED
    assert (await story.stored("c", TEXT, tenant="other")).state is DocumentState.CHUNKED


async def test_a_new_revision_with_the_same_text_is_no_duplicate_of_its_own(story: Any) -> None:
    await story.stored("a", TEXT)
    document = await story.stored("a", TEXT + "\n")
    assert (document.revision, document.state) == (2, DocumentState.CHUNKED)


async def test_one_copy_takes_over_when_the_original_is_deleted(story: Any) -> None:
    original = await story.stored("original", TEXT)
    copies = [await story.stored(f"copy-{n}", TEXT) for n in range(3)]
    await story.manage.delete("acme", original.document_id)
    await story.work_all()
    copies = sorted([await story.see(copy) for copy in copies], key=lambda one: one.document_id)
    heir, *others = copies
    assert (heir.state, heir.attempt) == (DocumentState.CHUNKED, 2)
    assert all(is_copy_of(other, heir) for other in others)
    assert len(story.said(Received)) == 5


async def test_a_copy_takes_over_when_the_original_gets_another_text(story: Any) -> None:
    original = await story.stored("original", TEXT)
    copy = await story.stored("copy", TEXT)
    await story.stored("original", OTHER)
    assert (await story.see(copy)).state is DocumentState.CHUNKED
    assert (await story.see(original)).state is DocumentState.CHUNKED


async def test_a_copy_does_not_take_over_while_the_original_is_in_force(story: Any) -> None:
    original = await story.stored("original", TEXT)
    copy = await story.stored("copy", TEXT)
    refused = await story.stored("original", b"%PDF broken")
    assert refused.state is DocumentState.REJECTED
    assert is_copy_of(await story.see(copy), original)


async def test_a_copy_takes_over_when_the_original_gets_no_vectors(story: Any) -> None:
    original = await story.stored("original", TEXT)
    copy = await story.stored("copy", TEXT)
    part = story.said(Chunked)[0].document
    await story.follow.not_embedded("acme", name_of(part), "The model is gone.")
    await story.work_all()
    assert (await story.see(original)).state is DocumentState.REJECTED
    assert (await story.see(copy)).state is DocumentState.CHUNKED


async def test_the_next_copy_takes_over_when_the_heir_is_replaced_before_it_was_cut(
    story: Any,
) -> None:
    original = await story.stored("original", TEXT)
    copies = [await story.stored(f"copy-{n}", TEXT) for n in range(2)]
    heir, other = sorted(copies, key=lambda one: one.document_id)
    await story.manage.delete("acme", original.document_id)
    await story.upload(heir.source_uri, OTHER)
    await story.work_all()
    assert (await story.see(other)).state is DocumentState.CHUNKED
    assert (await story.see(heir)).state is DocumentState.CHUNKED


async def found(story: Any, uri: str, text: str = TEXT) -> Document:
    """Stores a document and lets search find it."""
    document = await story.stored(uri, text)
    await story.follow.indexed("acme", name_of(document))
    return document


async def test_a_deleted_text_is_found_until_its_heir_is(story: Any) -> None:
    original = await found(story, "original")
    copy = await story.stored("copy", TEXT)
    deleted = await story.manage.delete("acme", original.document_id)
    await story.work_all()
    assert deleted.state is DocumentState.DELETED
    assert not story.said(Deleted)
    for _ in range(2):
        await story.follow.indexed("acme", name_of(await story.see(copy)))
    [fact] = story.said(Deleted)
    assert (fact.document.document_id, fact.revision) == (original.document_id, 1)


async def test_a_deletion_waits_for_the_next_heir_when_the_first_one_leaves(story: Any) -> None:
    original = await found(story, "original")
    copies = [await story.stored(f"copy-{n}", TEXT) for n in range(2)]
    first, second = sorted(copies, key=lambda one: one.document_id)
    await story.manage.delete("acme", original.document_id)
    await story.manage.delete("acme", first.document_id)
    await story.work_all()
    assert [one.document.document_id for one in story.said(Deleted)] == [first.document_id]
    await story.manage.delete("acme", second.document_id)
    assert {one.document.document_id for one in story.said(Deleted)} == {
        one.document_id for one in (original, first, second)
    }


async def test_a_deletion_waits_no_longer_than_its_patience(story: Any) -> None:
    original = await found(story, "original")
    await story.stored("copy", TEXT)
    await story.manage.delete("acme", original.document_id)
    assert await story.departures.run() == 0
    story.passes(minutes=2)
    assert [await story.departures.run() for _ in range(2)] == [1, 0]
    assert [one.document.document_id for one in story.said(Deleted)] == [original.document_id]


async def test_a_deleted_document_that_comes_back_still_waits_for_its_copy(story: Any) -> None:
    original = await found(story, "original")
    copy = await story.stored("copy", TEXT)
    await story.manage.delete("acme", original.document_id)
    back = await story.stored("original", OTHER)
    assert (back.state, back.successor) == (DocumentState.RECEIVED, copy.document_id)
    await story.follow.indexed("acme", name_of(await story.see(copy)))
    await story.work_all()
    assert (await story.see(original)).state is DocumentState.CHUNKED
    assert not story.said(Deleted)


async def test_a_document_that_becomes_a_copy_gives_up_its_earlier_text(story: Any) -> None:
    original = await story.stored("original", TEXT)
    await story.stored("copy", OTHER)
    copy = await story.stored("copy", TEXT)
    assert is_copy_of(copy, original)
    [deleted] = story.said(Deleted)
    assert (deleted.document.document_id, deleted.revision) == (copy.document_id, 1)
    assert copy.revision == 2


async def test_an_original_deleted_while_its_copy_is_examined_is_not_trusted(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = await story.stored("original", TEXT)
    await story.upload("copy", TEXT)
    seen = story.memory.holder_of_bytes

    async def deleted_meanwhile(*key: str) -> str | None:
        holder = await seen(*key)
        await story.manage.delete("acme", original.document_id)
        return holder

    monkeypatch.setattr(story.memory, "holder_of_bytes", deleted_meanwhile)
    await story.work_all()
    found = await story.memory.list("acme", Selection("default"), "", 10)
    assert [document.state for document in found] == [DocumentState.CHUNKED]


URIS = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.sampled_from(["One text.", "ONE  text.", "Another text.", "A third text.", "%PDF"])
STEPS = st.one_of(
    st.tuples(st.just("upload"), URIS, TEXTS),
    st.tuples(st.just("delete"), URIS, st.just("")),
    st.tuples(st.just("work"), st.just(""), st.just("")),
    st.tuples(st.just("work"), st.just(""), st.just("")),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, min_size=4, max_size=20), order=st.randoms(use_true_random=False))
async def test_every_living_text_is_found_exactly_once_whatever_the_order(
    new_story: Any, steps: list[tuple[str, str, str]], order: Any
) -> None:
    story = new_story()
    living: dict[str, str] = {}
    for verb, uri, text in steps:
        if verb == "upload":
            await story.upload(uri, text)
            living[uri] = text
        elif verb == "work" and story.said(Received):
            for received in order.choices(story.said(Received), k=len(story.said(Received))):
                await story.work(received)
        elif verb == "delete" and living.pop(uri, None):
            await story.manage.delete("acme", await id_of(story, uri))
    await work_in_any_order(story, order)
    newest = {text.casefold().replace("  ", " ") for text in living.values()} - {"%pdf"}
    found = searchable_texts(story)
    assert newest <= set(found)
    assert len(found) == len(set(found))


async def work_in_any_order(story: Any, order: Any) -> None:
    """Every event three times, shuffled, until nothing new is said."""
    worked = -1
    while worked != len(story.said(Received)):
        worked = len(story.said(Received))
        events = story.said(Received) * 3
        order.shuffle(events)
        for received in events:
            await story.work(received)


def searchable_texts(story: Any) -> list[str]:
    """What retrieval holds when it has heard everything: newest cut revision above deletions."""
    newest: dict[str, tuple[int, str]] = {}
    for part in story.said(Chunked):
        text = " ".join(chunk.text for chunk in part.chunks).casefold()
        newest[part.document.document_id] = max(
            newest.get(part.document.document_id, (0, "")), (part.document.revision, text)
        )
    for deleted in story.said(Deleted):
        name = deleted.document.document_id
        if name in newest and newest[name][0] <= deleted.revision:
            del newest[name]
    return [text for _, text in newest.values()]


async def id_of(story: Any, uri: str) -> str:
    found = await story.memory.list("acme", Selection("default"), "", 10)
    return next(one.document_id for one in found if one.source_uri == uri)


def name_of(document: Document) -> Any:
    from gyre_ingestion.domain.documents import RevisionName

    return RevisionName(
        document.document_id, document.collection, document.revision, document.attempt
    )


async def test_a_text_is_found_in_its_copy_before_the_original_gets_another_one(
    story: Any,
) -> None:
    original = await found(story, "original")
    copy = await story.stored("copy", TEXT)
    changed = await story.stored("original", OTHER)
    assert (changed.state, changed.successor) == (DocumentState.RECEIVED, copy.document_id)
    assert texts_cut(story) == [TEXT, TEXT]
    for _ in range(2):
        await story.follow.indexed("acme", name_of(await story.see(copy)))
        await story.work_all()
    assert (await story.see(original)).state is DocumentState.CHUNKED
    assert texts_cut(story) == [TEXT, TEXT, OTHER]
    assert not story.said(Deleted)


async def test_a_changed_original_waits_no_longer_than_its_patience(story: Any) -> None:
    original = await found(story, "original")
    await story.stored("copy", TEXT)
    await story.stored("original", OTHER)
    story.passes(minutes=2)
    assert [await story.departures.run() for _ in range(2)] == [1, 0]
    await story.work_all()
    assert (await story.see(original)).state is DocumentState.CHUNKED


async def test_a_waiting_original_is_not_cut_by_a_repeated_event(story: Any) -> None:
    original = await found(story, "original")
    await story.stored("copy", TEXT)
    await story.stored("original", OTHER)
    for received in story.said(Received):
        await story.work(received)
    assert (await story.see(original)).state is DocumentState.RECEIVED


async def test_a_waiting_original_that_is_deleted_still_waits_for_its_copy(story: Any) -> None:
    original = await found(story, "original")
    copy = await story.stored("copy", TEXT)
    await story.stored("original", OTHER)
    await story.manage.delete("acme", original.document_id)
    assert not story.said(Deleted)
    await story.follow.indexed("acme", name_of(await story.see(copy)))
    assert [one.document.document_id for one in story.said(Deleted)] == [original.document_id]


async def test_the_newest_of_several_changes_is_cut_when_the_copy_is_found(story: Any) -> None:
    original = await found(story, "original")
    copy = await story.stored("copy", TEXT)
    await story.stored("original", OTHER)
    newest = await story.stored("original", f"{OTHER} In Switzerland too.")
    assert (newest.revision, newest.state) == (3, DocumentState.RECEIVED)
    await story.follow.indexed("acme", name_of(await story.see(copy)))
    await story.work_all()
    assert (await story.see(original)).cut_revision == 3


async def test_an_original_that_gave_its_text_away_leaves_search_when_it_cannot_be_read(
    story: Any,
) -> None:
    original = await found(story, "original")
    copy = await story.stored("copy", TEXT)
    await story.stored("original", OTHER)
    await story.upload("original", b"%PDF broken")
    await story.follow.indexed("acme", name_of(await story.see(copy)))
    await story.work_all()
    assert (await story.see(original)).state is DocumentState.REJECTED
    [deleted] = story.said(Deleted)
    assert (deleted.document.document_id, deleted.revision) == (original.document_id, 2)


FEW_URIS, FEW_TEXTS = st.sampled_from(["a", "b"]), st.sampled_from(["One text.", "Another text."])
COPIED = [("upload", uri, "One text.") for uri in "ab"] + [("settle", "", "")]
SEEN_STEPS = st.one_of(
    st.tuples(st.just("upload"), FEW_URIS, FEW_TEXTS),
    st.tuples(st.just("delete"), FEW_URIS, st.just("")),
    st.sampled_from([("work", "", ""), ("index", "", ""), ("index", "", ""), ("settle", "", "")]),
)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(SEEN_STEPS, min_size=3, max_size=12))
async def test_search_never_loses_a_text_that_a_document_stood_for_since_the_news_was_said(
    new_story: Any, steps: list[tuple[str, str, str]]
) -> None:
    story, living, index = new_story(), dict[str, str](), Index()
    owned: list[tuple[int, set[str]]] = []
    for verb, uri, text in COPIED + steps:
        news, shown = index.heard, index.texts()
        if verb == "upload":
            await story.upload(uri, text)
            living[uri] = text
        elif verb == "work":
            await story.work_all()
        elif verb == "index":
            await index.hear_next(story)
        elif verb == "settle":
            await settle(story, index)
        elif verb == "delete" and living.pop(uri, None):
            await story.manage.delete("acme", await id_of(story, uri))
        owned.append((len(for_search(story)), await texts_owned(story, living)))
        for lost in shown - index.texts():
            assert not all(lost in texts for said, texts in owned if said > news)


async def settle(story: Any, index: "Index") -> None:
    """Until nothing is left to do."""
    await story.work_all()
    while index.heard < len(for_search(story)):
        await index.hear_next(story)
        await story.work_all()


class Index:
    """Retrieval: hears what was said in order, a revision or a deletion at a time."""

    def __init__(self) -> None:
        self.heard = 0
        self._in_force: dict[str, tuple[int, int, str]] = {}
        self._gone: dict[str, int] = {}

    async def hear_next(self, story: Any) -> None:
        for fact in for_search(story)[self.heard : self.heard + 1]:
            self.heard += 1
            await (self._index if isinstance(fact, Chunked) else self._remove)(story, fact)

    async def _index(self, story: Any, fact: Chunked) -> None:
        document = fact.document
        version = (document.revision, document.attempt)
        newest = self._in_force.get(document.document_id, (0, 0, ""))[:2]
        if version <= newest or document.revision <= self._gone.get(document.document_id, 0):
            return
        [text] = [chunk.text for chunk in fact.chunks]
        self._in_force[document.document_id] = (*version, text)
        await story.follow.indexed("acme", name_of(document))

    async def _remove(self, story: Any, fact: Deleted) -> None:
        name = fact.document.document_id
        self._gone[name] = max(fact.revision, self._gone.get(name, 0))
        if self._in_force.get(name, (99, 0, ""))[0] <= fact.revision:
            del self._in_force[name]

    def texts(self) -> set[str]:
        return {plain(text) for _, _, text in self._in_force.values()}


def for_search(story: Any) -> list[Chunked | Deleted]:
    return [one for one in story.memory.said if isinstance(one, Chunked | Deleted)]


async def texts_owned(story: Any, living: dict[str, str]) -> set[str]:
    """Texts of documents that stand for them or are known as their copies."""
    documents = await story.memory.list("acme", Selection("default"), "", 10)
    hashes = {one.source_uri: one.held.text_hash for one in documents if one.held}
    copies = {one.source_uri for one in documents if one.duplicate_of}
    return {
        plain(text)
        for uri, text in living.items()
        if uri in copies or hashes.get(uri) == content_hash(text)
    }


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


def texts_cut(story: Any) -> list[str]:
    return [" ".join(chunk.text for chunk in part.chunks) for part in story.said(Chunked)]
