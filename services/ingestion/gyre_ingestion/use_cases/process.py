"""Turns stored bytes into passages: examine outside of any transaction, settle inside one."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from gyre_ingestion.domain.chunking import Chunk, Tokenizer
from gyre_ingestion.domain.chunking import cut as cut_text
from gyre_ingestion.domain.documents import Document, Rejection, RevisionName
from gyre_ingestion.domain.duplicates import bands, content_hash, fingerprint, similarity
from gyre_ingestion.domain.facts import Chunked, Deleted, Refused
from gyre_ingestion.domain.lifecycle import Findings, concerns, cut, refuse, withdraw
from gyre_ingestion.domain.parsed import ParsedDocument, Rejected, RejectionReason
from gyre_ingestion.domain.parts import parts_of, source_bytes
from gyre_ingestion.domain.rules import MAX_TITLE, file_name
from gyre_ingestion.ports import (
    Clock,
    ContentStore,
    DocumentChanges,
    Documents,
    Parser,
    Redactor,
)
from gyre_ingestion.use_cases.succession import hand_over, record


class Outcome(StrEnum):
    """What became of an event."""

    CHUNKED = "chunked"
    REJECTED = "rejected"
    APPLIED = "applied"
    STALE = "stale"
    UNKNOWN = "unknown"
    DEFERRED = "deferred"


@dataclass(frozen=True)
class Cutting:
    """How documents are cut: tokens per passage, sentences shared by neighbours, passages per
    event, and the similarity (0 to 1) from which documents count as near-duplicates."""

    max_tokens: int = 256
    overlap_sentences: int = 1
    max_part_chunks: int = 64
    near_duplicate_threshold: float = 0.8


@dataclass(frozen=True)
class Passages:
    """A document that can be indexed."""

    findings: Findings
    parts: tuple[tuple[Chunk, ...], ...]
    signature: bytes


_GIVEN_UP = Rejection(
    RejectionReason.NOT_PROCESSED,
    "Processing failed each time; redrive it from the dead letters, which hold the cause.",
)


class _OutdatedError(Exception):
    """What was examined is no longer so; undoes the transaction."""


class Process:
    """The worker: one received revision becomes chunks, or a refusal with its reason."""

    def __init__(
        self,
        documents: Documents,
        contents: ContentStore,
        parser: Parser,
        redactor: Redactor,
        tokenizer: Tokenizer,
        clock: Clock,
        cutting: Cutting,
    ) -> None:
        self._documents = documents
        self._contents = contents
        self._parser = parser
        self._redactor = redactor
        self._tokenizer = tokenizer
        self._clock = clock
        self._cutting = cutting

    async def process(self, tenant: str, name: RevisionName) -> Outcome:
        """Parses and cuts what was received; a stale revision or attempt is left alone."""
        while True:
            document = await self._documents.get(tenant, name.document_id)
            if document is None or not _waits(document, name):
                return Outcome.STALE if document else Outcome.UNKNOWN
            result = await self._examine(document)
            try:
                return await self._settle(tenant, name, result)
            except _OutdatedError:
                continue

    async def give_up(self, tenant: str, name: RevisionName) -> Outcome:
        """What failed each time is refused and says so; `process` may still be asked again."""
        async with self._documents.changing(tenant, name.collection) as changes:
            document = await changes.get(name.document_id)
            if document is None or not _waits(document, name) or document.progress.rejection:
                return Outcome.STALE
            return await self._refuse(changes, document, _GIVEN_UP)

    async def _examine(self, document: Document) -> Passages | Rejection:
        holder = await self._documents.holder_of_bytes(
            document.tenant, document.collection, document.content.sha256
        )
        if holder not in (None, document.document_id):
            return _duplicate(holder)
        content = await self._contents.get(document.content)
        try:
            parsed = await self._parser.parse(content, file_name(document.source_uri))
            return await self._passages(document, parsed)
        except Rejected as rejected:
            return Rejection(rejected.reason, rejected.detail)

    async def _passages(self, document: Document, parsed: ParsedDocument) -> Passages:
        redaction = await self._redactor.redact(parsed, document.policy, document.tenant)
        # The hash and the fingerprint are of the text as it was: a policy makes no two texts alike.
        return await asyncio.to_thread(
            self._cut, document, parsed, redaction.document, redaction.total
        )

    def _cut(
        self, document: Document, parsed: ParsedDocument, clean: ParsedDocument, replaced: int
    ) -> Passages:
        how = self._cutting
        chunks = cut_text(clean, self._tokenizer, how.max_tokens, how.overlap_sentences)
        if not chunks:
            detail = "There is no text in it; if it is a scan, run text recognition on it first."
            raise Rejected(RejectionReason.NO_TEXT, detail)
        title = clean.title.replace("\0", "")[:MAX_TITLE]
        spent = source_bytes(title or document.title, document.source_uri, document.metadata)
        parts = parts_of(chunks, spent, how.max_part_chunks)
        findings = Findings(
            title=title,
            media_type=clean.media_type,
            language=clean.language,
            part_count=len(parts),
            chunk_count=len(chunks),
            personal_data_count=replaced,
            text_hash=content_hash(parsed.text),
        )
        return Passages(findings, parts, fingerprint(parsed.text))

    async def _settle(
        self, tenant: str, name: RevisionName, result: Passages | Rejection
    ) -> Outcome:
        async with self._documents.changing(tenant, name.collection) as changes:
            document = await changes.get(name.document_id)
            if document is None or not _waits(document, name):
                return Outcome.STALE
            if isinstance(result, Rejection):
                await _check_still_held(changes, document, result)
            if _lets_go(document, result) and await hand_over(changes, document, self._clock()):
                return Outcome.DEFERRED
            if isinstance(result, Rejection):
                return await self._refuse(changes, document, result)
            holder = await changes.holder(result.findings.text_hash)
            if holder not in (None, document.document_id):
                return await self._refuse(changes, document, _duplicate(holder))
            return await self._say_chunked(changes, document, result)

    async def _refuse(
        self, changes: DocumentChanges, before: Document, rejection: Rejection
    ) -> Outcome:
        now = self._clock()
        after = refuse(before, rejection, now)
        if rejection.duplicate_of:
            await _forget_fingerprint(changes, after)
        if _has_given_away(before, rejection):
            # Its earlier text is out of date or an heir's, and goes from search.
            after = withdraw(after)
            changes.say(Deleted(after, after.revision - 1, now))
        await record(changes, before, after, now)
        changes.say(Refused(after))
        return Outcome.REJECTED

    async def _say_chunked(
        self, changes: DocumentChanges, before: Document, passages: Passages
    ) -> Outcome:
        now = self._clock()
        after = cut(before, passages.findings, now)
        await record(changes, before, after, now)
        await self._compare(changes, after, passages.signature)
        for number, chunks in enumerate(passages.parts):
            changes.say(Chunked(after, number, len(passages.parts), chunks))
        return Outcome.CHUNKED

    async def _compare(
        self, changes: DocumentChanges, document: Document, signature: bytes
    ) -> None:
        keys = bands(signature)
        others = await changes.alike(document.document_id, keys)
        threshold = self._cutting.near_duplicate_threshold
        near = [name for name, other in others.items() if similarity(signature, other) >= threshold]
        await changes.set_fingerprint(document.document_id, signature, keys)
        await changes.mark_near_duplicates(document.document_id, near)


def _waits(document: Document, name: RevisionName) -> bool:
    return concerns(document, name) and document.unprocessed


def _lets_go(document: Document, result: Passages | Rejection) -> bool:
    """Whether the revision takes the text away that the document stands for."""
    if isinstance(result, Rejection):
        return bool(result.duplicate_of)
    return document.held is not None and document.held.text_hash != result.findings.text_hash


def _has_given_away(before: Document, rejection: Rejection) -> bool:
    """Whether the text of an earlier revision is found here, but no longer to be."""
    if not before.cut_revision:
        return before.searchable.revision > 0
    return bool(rejection.duplicate_of) and before.cut_revision < before.revision


def _duplicate(holder: str | None) -> Rejection:
    detail = "The same content is indexed as another document; delete that one to index this one."
    return Rejection(RejectionReason.DUPLICATE, detail, holder or "")


async def _check_still_held(
    changes: DocumentChanges, document: Document, rejection: Rejection
) -> None:
    if not rejection.duplicate_of:
        return
    holder = await changes.get(rejection.duplicate_of)
    if not (holder and holder.held and holder.held.sha256 == document.content.sha256):
        raise _OutdatedError


async def _forget_fingerprint(changes: DocumentChanges, document: Document) -> None:
    await changes.set_fingerprint(document.document_id, b"", ())
    await changes.mark_near_duplicates(document.document_id, ())
