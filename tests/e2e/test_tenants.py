"""Two tenants with the same documents never see each other's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from gyre_client import AnswerDone, Document, DocumentState, Gyre, InvalidError, NotFoundError
from gyre_demo.questions import KNOWLEDGE_BASE

from tests.platform.documents import ingest
from tests.platform.running import RunningPlatform

COLLECTION = "shared-name"
NAMES = ("roaming/roaming-in-the-eu.md", "tariffs/fair-use.md", "tv/larkmoor-tv.md")
QUESTION = "What does roaming in the EU cost?"
HOSTILE = (
    '" or tenant != "acme',
    "acme' or 1 == 1 --",
    '*"} || true',
    "..\\..\\globex",
    "globex.>",
)
Own = tuple[Gyre, list[Document]]


@pytest.fixture
async def acme(platform: RunningPlatform) -> AsyncIterator[Own]:
    async with platform.client("acme") as client:
        yield client, await filled(client)


@pytest.fixture
async def globex(platform: RunningPlatform) -> AsyncIterator[Own]:
    async with platform.client("globex") as client:
        yield client, await filled(client)


async def filled(gyre: Gyre) -> list[Document]:
    contents = {name: (KNOWLEDGE_BASE / name).read_bytes() for name in NAMES}
    documents = await ingest(gyre, contents, COLLECTION)
    assert {one.state for one in documents} == {DocumentState.INDEXED}
    return documents


def ids(documents: list[Document]) -> set[str]:
    return {one.document_id for one in documents}


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
async def test_search_finds_the_callers_documents_alone(acme: Own, globex: Own, mode: str) -> None:
    for gyre, documents in (acme, globex):
        hits = await gyre.search(QUESTION, collection=COLLECTION, mode=mode, top_k=100)  # type: ignore[arg-type]
        assert {hit.document_id for hit in hits} <= ids(documents)
        assert hits


async def test_the_same_documents_have_different_ids(acme: Own, globex: Own) -> None:
    assert ids(acme[1]).isdisjoint(ids(globex[1]))


async def test_a_list_holds_the_callers_documents_alone(acme: Own, globex: Own) -> None:
    for gyre, documents in (acme, globex):
        listed = [one.document_id async for one in gyre.documents.list(collection=COLLECTION)]
        assert set(listed) == ids(documents)


async def test_anothers_document_is_not_there(acme: Own, globex: Own) -> None:
    for document in globex[1]:
        with pytest.raises(NotFoundError):
            await acme[0].documents.get(document.document_id)


async def test_anothers_document_cannot_be_deleted(acme: Own, globex: Own) -> None:
    (victim, *_) = globex[1]
    with pytest.raises(NotFoundError):
        await acme[0].documents.delete(victim.document_id)
    assert (await globex[0].documents.get(victim.document_id)).state is DocumentState.INDEXED
    hits = await globex[0].search(victim.title, collection=COLLECTION, top_k=100)
    assert victim.document_id in {hit.document_id for hit in hits}


async def test_an_answer_cites_the_callers_documents_alone(acme: Own, globex: Own) -> None:
    for gyre, documents in (acme, globex):
        events = [one async for one in gyre.answer(QUESTION, collection=COLLECTION)]
        assert isinstance(events[-1], AnswerDone)
        assert events[-1].citations
        assert {one.document_id for one in events[-1].citations} <= ids(documents)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_filters_open_nothing(acme: Own, globex: Own, text: str) -> None:
    gyre, documents = acme
    found = await gyre.search(text, collection=COLLECTION, top_k=100)
    assert {hit.document_id for hit in found} <= ids(documents)
    for metadata in ({"place": text}, {text: "anything"}):
        assert not await gyre.search(QUESTION, collection=COLLECTION, metadata=metadata)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_names_of_collections_are_refused(acme: Own, text: str) -> None:
    with pytest.raises(InvalidError):
        await acme[0].search(QUESTION, collection=text)
