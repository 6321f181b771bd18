from typing import Any

import pytest
from gyre_ingestion.domain.documents import DocumentState
from gyre_ingestion.domain.facts import Chunked, Deleted, Received, Refused
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.ports import ContentMissingError, Selection
from gyre_ingestion.use_cases.process import Outcome

LONG = "\n\n".join(f"Paragraph number {n} says that {n} times two is {2 * n}." for n in range(40))


async def test_a_received_document_is_cut_into_parts_that_say_how_many_they_are(story: Any) -> None:
    document = await story.stored("a", LONG)
    parts = story.said(Chunked)
    assert document.state is DocumentState.CHUNKED
    assert len(parts) == document.progress.part_count > 1
    assert [part.part_index for part in parts] == list(range(len(parts)))
    ordinals = [chunk.ordinal for part in parts for chunk in part.chunks]
    assert ordinals == list(range(document.progress.chunk_count))


async def test_a_stale_revision_is_ignored(story: Any) -> None:
    await story.upload("a", "first text")
    await story.upload("a", "second text")
    first, second = story.said(Received)
    assert await story.work(second) is Outcome.CHUNKED
    assert await story.work(first) is Outcome.STALE
    assert [part.document.revision for part in story.said(Chunked)] == [2]


async def test_a_redelivered_document_is_cut_once(story: Any) -> None:
    await story.upload("a", "text")
    [received] = story.said(Received)
    assert [await story.work(received) for _ in range(3)] == [
        Outcome.CHUNKED,
        Outcome.STALE,
        Outcome.STALE,
    ]
    assert len(story.said(Chunked)) == 1


async def test_a_deleted_document_is_not_cut(story: Any) -> None:
    uploaded = await story.upload("a", "text")
    await story.manage.delete("acme", uploaded.document.document_id)
    [received] = story.said(Received)
    assert await story.work(received) is Outcome.STALE
    assert not story.said(Chunked)


async def test_a_rejected_revision_leaves_the_earlier_one_in_force_and_says_why(story: Any) -> None:
    document = await story.stored("a", "good text")
    name = story.said(Chunked)[0].document
    await story.follow.indexed("acme", revision_name(name))
    document = await story.stored("a", b"%PDF broken")
    [refused] = story.said(Refused)
    assert refused.document.progress.rejection.reason is RejectionReason.CORRUPT
    assert document.state is DocumentState.REJECTED
    assert (document.revision, document.searchable.revision) == (2, 1)
    assert not story.said(Deleted)


async def test_the_policy_of_the_collection_is_that_of_the_moment_of_acceptance(story: Any) -> None:
    text = "Write to jane@example.org today."
    await story.stored("masked", text)
    await story.manage.configure("acme", "default", PersonalDataPolicy.OFF)
    await story.stored("open", text + " Or tomorrow.")
    masked, plain = (part.chunks[0].text for part in story.said(Chunked))
    assert masked == "Write to <EMAIL_ADDRESS> today."
    assert "jane@example.org" in plain


async def test_reprocessing_follows_the_new_policy_and_counts_the_attempt(story: Any) -> None:
    document = await story.stored("a", "Write to jane@example.org today.")
    assert document.progress.personal_data_count == 1
    await story.manage.configure("acme", "default", PersonalDataPolicy.OFF)
    assert await story.manage.reprocess("acme", Selection("default")) == 1
    await story.work_all()
    document = await story.see(document)
    assert (document.attempt, document.revision) == (2, 1)
    assert document.progress.personal_data_count == 0
    assert [part.document.attempt for part in story.said(Chunked)] == [1, 2]


async def test_an_original_that_is_lost_is_a_failure_and_not_a_verdict(story: Any) -> None:
    await story.upload("a", "text")
    for name in [name async for name in story.contents.names()]:
        assert await story.contents.remove_unless_fresh(*name, story.now)
    with pytest.raises(ContentMissingError):
        await story.work(story.said(Received)[0])
    assert not story.said(Refused)


async def test_what_was_given_up_is_refused_once_and_may_still_be_processed(story: Any) -> None:
    uploaded = await story.upload("a", "text")
    [received] = story.said(Received)
    name = revision_name(received.document)
    given_up = [await story.process.give_up("acme", name) for _ in range(2)]
    assert given_up == [Outcome.REJECTED, Outcome.STALE]
    refused = await story.see(uploaded.document)
    assert refused.state is DocumentState.REJECTED
    assert refused.progress.rejection.reason is RejectionReason.NOT_PROCESSED
    assert len(story.said(Refused)) == 1
    assert await story.work(received) is Outcome.CHUNKED
    assert (await story.see(refused)).state is DocumentState.CHUNKED
    assert await story.process.give_up("acme", name) is Outcome.STALE


async def test_near_duplicates_are_recorded_on_both_sides_and_indexed(story: Any) -> None:
    one = await story.stored("one", LONG)
    two = await story.stored("two", LONG.replace("number 7", "number seven"))
    far = await story.stored("far", "Nothing of the kind.")
    assert two.state is DocumentState.CHUNKED
    assert two.near_duplicates == (one.document_id,)
    assert (await story.see(one)).near_duplicates == (two.document_id,)
    assert far.near_duplicates == ()
    await story.manage.delete("acme", two.document_id)
    assert (await story.see(one)).near_duplicates == ()


def revision_name(document: Any) -> Any:
    from gyre_ingestion.domain.documents import RevisionName

    return RevisionName(
        document.document_id, document.collection, document.revision, document.attempt
    )
