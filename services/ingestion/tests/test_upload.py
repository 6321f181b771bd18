import hashlib
from typing import Any

import pytest
from gyre_ingestion.domain.documents import DocumentState
from gyre_ingestion.domain.facts import Received
from gyre_ingestion.domain.rules import RuleError


async def test_an_upload_is_stored_before_the_fact_is_said(story: Any) -> None:
    uploaded = await story.upload("notes/a.txt", "One sentence. Two sentences.")
    assert uploaded.created_revision
    assert uploaded.document.state is DocumentState.RECEIVED
    assert await story.contents.get(uploaded.document.content) == b"One sentence. Two sentences."
    assert story.said(Received) == [Received(uploaded.document)]


async def test_the_same_bytes_again_change_nothing(story: Any) -> None:
    first = await story.upload("a", "text", metadata={"team": "one"})
    again = await story.upload("a", "text", metadata={"team": "two"})
    assert not again.created_revision
    assert again.document == first.document
    assert len(story.said(Received)) == 1


async def test_other_bytes_make_the_next_revision_of_the_same_document(story: Any) -> None:
    first = (await story.upload("a", "text")).document
    second = (await story.upload("a", "more text")).document
    third = (await story.upload("a", "text")).document
    assert second.document_id == first.document_id
    assert [first.revision, second.revision, third.revision] == [1, 2, 3]
    assert len({first.revision_id, second.revision_id, third.revision_id}) == 3


async def test_an_upload_after_a_deletion_continues_the_count(story: Any) -> None:
    first = (await story.upload("a", "text")).document
    await story.manage.delete("acme", first.document_id)
    again = await story.upload("a", "text")
    assert again.created_revision
    assert again.document.revision == 2
    assert again.document.state is DocumentState.RECEIVED


async def test_the_same_source_is_another_document_for_another_tenant_or_collection(
    story: Any,
) -> None:
    ids = {
        (await story.upload("a", "text", tenant=tenant, collection=collection)).document.document_id
        for tenant in ("acme", "other")
        for collection in ("default", "faq")
    }
    assert len(ids) == 4


async def test_what_is_larger_than_the_limit_is_refused_and_not_kept(story: Any) -> None:
    with pytest.raises(RuleError, match="4096"):
        await story.upload("a", "x" * 4097)
    assert not story.memory.said
    assert [name async for name in story.contents.names()] == []


async def test_bytes_that_are_not_those_promised_are_refused(story: Any) -> None:
    right = hashlib.sha256(b"text").hexdigest()
    assert (await story.upload("a", "text", sha256=right)).created_revision
    with pytest.raises(RuleError) as refused:
        await story.upload("b", "other text", sha256=right)
    assert set(refused.value.violations) == {"sha256"}


@pytest.mark.parametrize(
    ("uri", "header", "field"),
    [
        ("", {}, "source_uri"),
        ("a" * 2049, {}, "source_uri"),
        ("a\0b", {}, "source_uri"),
        ("a", {"collection": "No Capitals"}, "collection"),
        ("a", {"collection": "a" * 65}, "collection"),
        ("a", {"collection": "a\n"}, "collection"),
        ("a", {"metadata": {str(n): "" for n in range(33)}}, "metadata"),
        ("a", {"metadata": {"": "x"}}, "metadata"),
        ("a", {"metadata": {"k" * 65: "x"}}, "metadata"),
        ("a", {"metadata": {"k": "v" * 1025}}, "metadata"),
        ("a", {"metadata": {"k": "\0"}}, "metadata"),
        ("a", {"sha256": "ABC"}, "sha256"),
    ],
)
async def test_a_broken_rule_is_named_by_its_field(
    story: Any, uri: str, header: dict[str, Any], field: str
) -> None:
    with pytest.raises(RuleError) as refused:
        await story.upload(uri, "text", **header)
    assert set(refused.value.violations) == {field}


HOSTILE = [
    "../../etc/passwd",
    "a\nb\r\n",
    "x'; DROP TABLE documents; --",
    '"*>%_\\',
    "gyre.>",
    "名\u202e",
]


@pytest.mark.parametrize("uri", HOSTILE)
async def test_a_hostile_name_is_only_a_name(story: Any, uri: str) -> None:
    document = await story.stored(uri, f"A text about {len(uri)} things.", metadata={uri: uri})
    assert document.state is DocumentState.CHUNKED
    assert (document.source_uri, document.metadata) == (uri, {uri: uri})
    assert document.title
