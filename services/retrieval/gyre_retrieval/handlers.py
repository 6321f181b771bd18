"""The bus door: an event turns into one call."""

from __future__ import annotations

from gyre.common.v1.document_pb2 import DocumentRevision
from gyre.embedding.v1.events_pb2 import ChunksEmbedded, EmbedderReady
from gyre.evaluation.v1.events_pb2 import GateApproved, GateDecided
from gyre.feedback.v1.events_pb2 import HelpfulnessChanged
from gyre.ingestion.v1.events_pb2 import DocumentDeleted
from gyre_runtime.bus import Delivery, Listeners, PermanentError
from gyre_runtime.telemetry import counter

from gyre_retrieval.domain.errors import EmbedderMismatch, PartRefused
from gyre_retrieval.domain.helpfulness import Opinion
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.passage import EmbeddedPassage, Part, Passage
from gyre_retrieval.domain.reindex import Gate, Verdict
from gyre_retrieval.domain.vector import vector_from
from gyre_retrieval.ports import Helpfulness
from gyre_retrieval.use_cases.indexing import IndexDocuments
from gyre_retrieval.use_cases.trained import HearOfTraining
from gyre_retrieval.wire import chunk_from, source_from

PARTS = counter("retrieval_parts", "Parts heard, by what they came to.", ["verdict"])
EMBEDDERS = counter("retrieval_embedders", "Trained embedders heard of.", ["verdict"])
DELETIONS = counter("retrieval_deletions", "Deletions heard, by what they came to.", ["verdict"])


def listeners(
    documents: IndexDocuments, helpfulness: Helpfulness, *, parts_at_once: int
) -> Listeners:
    """What this service hears."""
    heard = Listeners("retrieval")

    @heard.on(ChunksEmbedded, budget=240.0, concurrency=parts_at_once)
    async def on_chunks_embedded(event: ChunksEmbedded, delivery: Delivery) -> None:
        try:
            verdict = await documents.receive(part_of(event, delivery.tenant))
        except PartRefused as refusal:
            raise PermanentError(refusal.reason, refusal.detail) from refusal
        except EmbedderMismatch as mismatch:
            raise PermanentError("embedder_mismatch", str(mismatch)) from mismatch
        PARTS.labels(verdict).inc()

    @heard.on(DocumentDeleted, concurrency=8)
    async def on_document_deleted(event: DocumentDeleted, delivery: Delivery) -> None:
        revision = event.revision
        document = _document(revision, delivery.tenant)
        verdict = await documents.delete(document, revision.revision, revision.revision_id)
        DELETIONS.labels(verdict).inc()

    @heard.on(HelpfulnessChanged, concurrency=16)
    async def on_helpfulness_changed(event: HelpfulnessChanged, delivery: Delivery) -> None:
        opinion = Opinion(
            event.chunk_id, event.metric, event.helpfulness, event.votes, event.revision
        )
        await helpfulness.keep(delivery.tenant, opinion)

    return heard


def trained_listeners(training: HearOfTraining, *, followed: bool) -> Listeners:
    """What it hears of embedders that were trained, and of gates. followed: whether such embedders
    get an index; gates that a person asked for are followed anyway."""
    heard = Listeners("retrieval")

    @heard.on(EmbedderReady)
    async def on_embedder_ready(event: EmbedderReady, delivery: Delivery) -> None:
        if not followed:
            return
        wishes = await training.embedder(
            delivery.tenant, event.embedder, event.dimension, event.model, event.training_id
        )
        EMBEDDERS.labels("indexed" if wishes else "left").inc()

    @heard.on(GateDecided)
    async def on_gate_decided(event: GateDecided, delivery: Delivery) -> None:
        if not event.cause:
            return
        try:
            verdict = Verdict(event.verdict)
        except ValueError as error:
            raise PermanentError("unknown_verdict", f"{event.verdict!r}") from error
        reasons = "; ".join(event.reasons)
        gate = Gate(event.gate_id, verdict, event.needs_approval, reasons)
        await training.verdict(delivery.tenant, event.cause, gate)

    @heard.on(GateApproved)
    async def on_gate_approved(event: GateApproved, delivery: Delivery) -> None:
        if event.cause:
            word = f"{event.principal}: {event.reason}" if event.reason else event.principal
            gate = Gate(event.gate_id, reasons=word, granted=event.granted)
            await training.word(delivery.tenant, event.cause, gate)

    return heard


def part_of(event: ChunksEmbedded, tenant: str) -> Part:
    """Raises `PartRefused` where vectors or counts are wrong."""
    document = _document(event.revision, tenant)
    version = Version(event.revision.revision, max(event.attempt, 1))
    source = source_from(event.source)
    passages = tuple(
        EmbeddedPassage(
            Passage(
                document, version, event.revision.revision_id, source, chunk_from(embedded.chunk)
            ),
            vector_from(embedded.vector, event.dimension),
        )
        for embedded in event.chunks
    )
    return Part(
        document,
        version,
        event.revision.revision_id,
        event.part_index,
        event.part_count,
        event.embedder,
        event.dimension,
        passages,
    )


def _document(revision: DocumentRevision, tenant: str) -> DocumentKey:
    return DocumentKey(tenant, revision.collection, revision.document_id)
