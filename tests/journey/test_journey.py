"""One document's way and one question's way, through every service, in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version

import pytest
from gyre.inference.v1.events_pb2 import AnswerGenerated
from gyre_client import (
    AnswerDone,
    AnswerStarted,
    Document,
    DocumentState,
    Gyre,
    NotFoundError,
    TextDelta,
    UnavailableError,
)
from gyre_client.judgements import Metric, Score
from gyre_client.operators import SERVICES, service_statuses

from tests.journey.conftest import Loop

ROAMING = b"Roaming in Japan costs nine euros a day.\n\nThe travel pass lasts one week."
ROUTER = b"Press the reset button of the router for ten seconds to restart it."
PATIENCE = 150.0


async def settled(gyre: Gyre, document: Document) -> Document:
    """The document when nothing more happens to its newest revision."""
    async with asyncio.timeout(PATIENCE):
        async for seen in gyre.documents.watch(document_ids=[document.document_id]):
            if seen.state.settled and seen.revision >= document.revision:
                return seen
    raise AssertionError("the watch ended by itself")


async def ingested(gyre: Gyre, name: str, content: bytes) -> Document:
    uploaded = await gyre.documents.upload(content, source_uri=name)
    return await settled(gyre, uploaded.document)


async def found(gyre: Gyre, query: str) -> list[str]:
    return [hit.text for hit in await gyre.search(query)]


async def test_a_document_becomes_searchable_and_a_question_is_answered_with_its_sentence(
    loop: Loop,
) -> None:
    async with loop.client() as gyre:
        assert (await ingested(gyre, "roaming.txt", ROAMING)).state is DocumentState.INDEXED
        await ingested(gyre, "router.txt", ROUTER)
        events = [event async for event in gyre.answer("What does roaming in Japan cost a day?")]
    started, *deltas, done = events
    assert isinstance(started, AnswerStarted)
    assert isinstance(done, AnswerDone)
    assert "".join(one.text for one in deltas if isinstance(one, TextDelta)) == done.text
    [citation] = done.citations
    assert citation.sentence == "Roaming in Japan costs nine euros a day."
    assert citation.source_uri == "roaming.txt"


async def test_every_answer_that_was_given_is_recorded_once(loop: Loop) -> None:
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        ids = []
        for _ in range(3):
            async for event in gyre.answer("How long does the travel pass last?"):
                if isinstance(event, AnswerStarted):
                    ids.append(event.answer_id)
    while len(recorded := _records(loop)) < 3:  # noqa: ASYNC110  a test may poll
        await asyncio.sleep(0.01)
    assert sorted(record.record.answer_id for record in recorded) == sorted(ids)
    assert {record.record.tenant for record in recorded} == {"acme"}


async def test_a_new_revision_replaces_the_old_one_and_a_deleted_document_is_gone(
    loop: Loop,
) -> None:
    async with loop.client() as gyre:
        first = await ingested(gyre, "roaming.txt", ROAMING)
        second = await ingested(gyre, "roaming.txt", ROAMING.replace(b"nine", b"seven"))
        assert (first.document_id, second.revision) == (second.document_id, 2)
        texts = await found(gyre, "roaming in Japan")
        assert any("seven euros" in text for text in texts)
        assert not any("nine euros" in text for text in texts)
        await gyre.documents.delete(second.document_id)
        while await found(gyre, "roaming in Japan"):  # noqa: ASYNC110  a test may poll
            await asyncio.sleep(0.01)


async def test_two_tenants_with_the_same_documents_never_see_each_others(loop: Loop) -> None:
    async with loop.client("acme") as acme, loop.client("globex") as globex:
        mine = await ingested(acme, "roaming.txt", ROAMING)
        theirs = await ingested(globex, "roaming.txt", ROAMING)
        assert mine.document_id != theirs.document_id
        for gyre, own in ((acme, mine), (globex, theirs)):
            hits = await gyre.search("roaming in Japan")
            assert {hit.document_id for hit in hits} == {own.document_id}
        with pytest.raises(NotFoundError):
            await acme.documents.get(theirs.document_id)
        await acme.documents.delete(mine.document_id)
        assert await found(globex, "roaming in Japan")


async def test_a_document_without_text_is_rejected_with_its_reason(loop: Loop) -> None:
    async with loop.client() as gyre:
        rejected = await ingested(gyre, "empty.txt", b" \n ")
    assert (rejected.state, rejected.rejection_reason) == (DocumentState.REJECTED, "no_text")


async def test_documents_wait_while_the_embedding_model_is_down_and_none_is_lost(
    loop: Loop,
) -> None:
    loop.embedder.available = False
    async with loop.client() as gyre:
        uploaded = await gyre.documents.upload(ROUTER, source_uri="router.txt")
        with pytest.raises((UnavailableError, NotFoundError)):
            await gyre.search("router")
        loop.embedder.available = True
        assert (await settled(gyre, uploaded.document)).state is DocumentState.INDEXED
    assert loop.exchange.dead_letters == []


async def test_every_service_tells_that_it_serves_and_its_version(loop: Loop) -> None:
    statuses = await service_statuses(loop.settings())
    assert [one.name for one in statuses] == list(SERVICES)
    assert {one.state for one in statuses} == {"SERVING"}
    assert {one.version for one in statuses} == {version("gyre-ingestion")}


def _records(loop: Loop) -> list[AnswerGenerated]:
    said = [one for one in loop.exchange.messages if ".answer_generated." in one.subject]
    return [AnswerGenerated.FromString(one.data) for one in said]


async def test_what_people_think_of_an_answer_is_joined_with_it_and_scores_its_prompt(
    loop: Loop,
) -> None:
    async with loop.client() as gyre:
        await gyre.feedback.declare(Metric("helpful", "boolean"))
        await gyre.feedback.declare(Metric("useful", "boolean", level="chunk"))
        await ingested(gyre, "roaming.txt", ROAMING)
        events = [event async for event in gyre.answer("What does roaming in Japan cost a day?")]
        started, done = events[0], events[-1]
        assert isinstance(started, AnswerStarted)
        assert isinstance(done, AnswerDone)
        chunk_id = done.citations[0].chunk_id
        for rater in ("r-1", "r-2"):
            await gyre.feedback.give(started.answer_id, "helpful", True, rater=rater)
        await gyre.feedback.give(started.answer_id, "useful", True, chunk_id=chunk_id)
        scores = await scored(gyre)
        kept = [one async for one in gyre.feedback.list(answer_id=started.answer_id)]
    assert {one.state for one in kept} == {"recorded"}
    assert {(one.metric, one.judgements) for one in scores} == {("helpful", 2)}
    assert scores[0].entity_id == kept[0].prompt


async def scored(gyre: Gyre) -> Sequence[Score]:
    """Scores of prompts, once there are some."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await gyre.feedback.scores("prompt")
            if sum(one.judgements for one in found) == 2:
                return found
            await asyncio.sleep(0.05)
