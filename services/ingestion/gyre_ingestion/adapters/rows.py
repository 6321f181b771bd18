"""A document as a row, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gyre_ingestion.domain.documents import (
    Content,
    Document,
    Held,
    Progress,
    Rejection,
    Searchable,
)
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.domain.personal_data import PersonalDataPolicy

_ALIKE = (
    "tenant",
    "document_id",
    "collection",
    "source_uri",
    "revision",
    "revision_id",
    "attempt",
    "title",
    "media_type",
    "language",
    "cut_revision",
    "cut_attempt",
    "deleted",
    "successor",
)


def row_of(document: Document) -> dict[str, Any]:
    """Every column but `change`."""
    return {
        **{name: getattr(document, name) for name in _ALIKE},
        **asdict(document.searchable),
        **_progress_columns(document.progress),
        "state": document.state.value,
        "content_uri": document.content.uri,
        "sha256": document.content.sha256,
        "size_bytes": document.content.size_bytes,
        "policy": document.policy.value,
        "receive_time": document.receive_time.timestamp(),
        "update_time": document.update_time.timestamp(),
        "metadata": dict(document.metadata),
        "held_sha256": document.held.sha256 if document.held else None,
        "held_text_hash": document.held.text_hash if document.held else None,
    }


def _progress_columns(progress: Progress) -> dict[str, Any]:
    rejection = progress.rejection
    return {
        "part_count": progress.part_count,
        "chunk_count": progress.chunk_count,
        "personal_data_count": progress.personal_data_count,
        "embedded_parts": sorted(progress.embedded_parts),
        "rejection_reason": rejection.reason.value if rejection else None,
        "rejection_detail": rejection.detail if rejection else "",
        "duplicate_of": rejection.duplicate_of if rejection else "",
    }


def document_of(row: Mapping[str, Any], near_duplicates: tuple[str, ...]) -> Document:
    """The document that `row_of` made the row from."""
    return Document(
        **{name: row[name] for name in _ALIKE},
        content=Content(row["content_uri"], row["sha256"], row["size_bytes"]),
        policy=PersonalDataPolicy(row["policy"]),
        receive_time=datetime.fromtimestamp(row["receive_time"], UTC),
        update_time=datetime.fromtimestamp(row["update_time"], UTC),
        metadata=row["metadata"],
        progress=_progress(row),
        searchable=Searchable(
            row["indexed_revision"], row["indexed_attempt"], row["unindexed_revision"]
        ),
        held=Held(row["held_sha256"], row["held_text_hash"]) if row["held_text_hash"] else None,
        near_duplicates=near_duplicates,
    )


def _progress(row: Mapping[str, Any]) -> Progress:
    return Progress(
        row["part_count"],
        row["chunk_count"],
        row["personal_data_count"],
        frozenset(row["embedded_parts"]),
        _rejection(row),
    )


def _rejection(row: Mapping[str, Any]) -> Rejection | None:
    if row["rejection_reason"] is None:
        return None
    reason = RejectionReason(row["rejection_reason"])
    return Rejection(reason, row["rejection_detail"], row["duplicate_of"])
