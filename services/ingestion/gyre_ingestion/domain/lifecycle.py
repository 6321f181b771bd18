"""What can happen to a document. Every function is pure and gives the document as it is afterwards;
what has no effect gives the very same object back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gyre_ingestion.domain.documents import (
    Content,
    Document,
    Held,
    Progress,
    Rejection,
    RevisionName,
    Searchable,
    document_id_of,
    revision_id_of,
)
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.domain.rules import file_name


@dataclass(frozen=True)
class Arrival:
    """Stored bytes that are to become a revision."""

    tenant: str
    collection: str
    source_uri: str
    metadata: Mapping[str, str]
    content: Content


@dataclass(frozen=True)
class Findings:
    """What cutting a document found out about it."""

    title: str
    media_type: str
    language: str
    part_count: int
    chunk_count: int
    personal_data_count: int
    text_hash: str


def receive(
    before: Document | None, arrival: Arrival, policy: PersonalDataPolicy, now: datetime
) -> Document:
    """The next revision of a document, or the first one; it waits to be parsed."""
    if before is None:
        return _revision(arrival, 1, policy, now)
    after = _revision(arrival, before.revision + 1, policy, now)
    kept = replace(after, searchable=before.searchable, near_duplicates=before.near_duplicates)
    return replace(
        kept,
        cut_revision=before.cut_revision,
        cut_attempt=before.cut_attempt,
        held=_kept_hold(before),
        successor=before.successor,
    )


def reprocess(document: Document, policy: PersonalDataPolicy, now: datetime) -> Document:
    """The same revision, to be parsed once more. A deleted document has nothing to parse."""
    if document.deleted:
        return document
    again = replace(document, attempt=document.attempt + 1, policy=policy, progress=Progress())
    return replace(again, update_time=now)


def inherit(heir: Document, text_hash: str, now: datetime) -> Document:
    """A refused copy takes the place of the document that stood for its text until now."""
    held = Held(heir.content.sha256, text_hash)
    return replace(reprocess(heir, heir.policy, now), held=held)


def cut(document: Document, found: Findings, now: datetime) -> Document:
    """The revision went downstream in `part_count` parts; the document stands for its text now."""
    progress = Progress(found.part_count, found.chunk_count, found.personal_data_count)
    after = replace(
        document,
        title=found.title or document.title,
        media_type=found.media_type,
        language=found.language,
        progress=progress,
        cut_revision=document.revision,
        cut_attempt=document.attempt,
        held=Held(document.content.sha256, found.text_hash),
    )
    return _stamped(document, after, now)


def refuse(document: Document, rejection: Rejection, now: datetime) -> Document:
    """The revision will not be searchable. An earlier one stays in force, and holds its content."""
    held = None if rejection.duplicate_of else _kept_hold(document)
    progress = replace(document.progress, rejection=rejection)
    return _stamped(document, replace(document, progress=progress, held=held), now)


def withdraw(document: Document) -> Document:
    """A copy of another document gives up its earlier revision: its content is the other's now."""
    return replace(document, cut_revision=0, cut_attempt=0)


def await_heir(document: Document, heir_id: str, now: datetime) -> Document:
    """The text that is found is the heir's; the newest revision waits until it is found there."""
    return replace(withdraw(document), held=None, successor=heir_id, update_time=now)


def embed(document: Document, part_index: int, now: datetime) -> Document:
    """One part has its vectors; hearing it again changes nothing."""
    progress = document.progress
    if part_index in progress.embedded_parts or not 0 <= part_index < progress.part_count:
        return document
    parts = progress.embedded_parts | {part_index}
    after = replace(document, progress=replace(progress, embedded_parts=parts))
    return _stamped(document, after, now)


def fail_embedding(
    document: Document, name: RevisionName, rejection: Rejection, now: datetime
) -> Document:
    """A part got no vectors: its text is not found, so another document may stand for it.

    That holds too when the news is late and a newer revision or attempt is on its way already.
    """
    attempt = name.attempt or document.cut_attempt
    if (name.revision, attempt) != (document.cut_revision, document.cut_attempt):
        return document
    after = replace(document, held=None)
    if concerns(document, name) and not document.progress.rejection:
        after = replace(after, progress=replace(document.progress, rejection=rejection))
    return document if after == document else _stamped(document, after, now)


def index(document: Document, name: RevisionName, now: datetime) -> Document:
    """Search finds the revision; what is older than what was heard already changes nothing."""
    if name.revision > document.revision:
        return document
    attempt = name.attempt or (document.attempt if name.revision == document.revision else 1)
    heard = (document.searchable.indexed_revision, document.searchable.indexed_attempt)
    if (name.revision, attempt) <= heard:
        return document
    searchable = Searchable(name.revision, attempt, document.searchable.unindexed_revision)
    return _stamped(document, replace(document, searchable=searchable), now)


def unindex(document: Document, revision: int, now: datetime) -> Document:
    """Search finds no revision up to `revision` any more."""
    if not document.searchable.unindexed_revision < revision <= document.revision:
        return document
    searchable = replace(document.searchable, unindexed_revision=revision)
    return _stamped(document, replace(document, searchable=searchable), now)


def delete(document: Document, now: datetime) -> Document:
    """Only the number of the last revision and the name outlive a deletion."""
    if document.deleted:
        return document
    bare = replace(document, title="", media_type="", language="", metadata={}, near_duplicates=())
    after = replace(withdraw(bare), deleted=True, progress=Progress(), held=None)
    return _stamped(document, after, now)


def concerns(document: Document, name: RevisionName) -> bool:
    """Whether an event about this revision and attempt is still news."""
    current = name.revision == document.revision and name.attempt in (0, document.attempt)
    return current and not document.deleted


def _revision(arrival: Arrival, number: int, policy: PersonalDataPolicy, now: datetime) -> Document:
    name = document_id_of(arrival.tenant, arrival.collection, arrival.source_uri)
    return Document(
        tenant=arrival.tenant,
        document_id=name,
        collection=arrival.collection,
        source_uri=arrival.source_uri,
        revision=number,
        revision_id=revision_id_of(name, number, arrival.content.sha256),
        content=arrival.content,
        policy=policy,
        receive_time=now,
        update_time=now,
        title=file_name(arrival.source_uri),
        metadata=dict(arrival.metadata),
    )


def _kept_hold(document: Document) -> Held | None:
    """An heir that was never cut stands for nothing once its bytes are replaced or refused."""
    return document.held if document.cut_revision else None


def _stamped(before: Document, after: Document, now: datetime) -> Document:
    return after if before.state == after.state else replace(after, update_time=now)
