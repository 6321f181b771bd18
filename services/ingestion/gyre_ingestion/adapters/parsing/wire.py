"""A parsed document, or the verdict on one, as JSON."""

import json
from typing import Any

from gyre_ingestion.domain.parsed import (
    Block,
    BlockKind,
    ParsedDocument,
    Rejected,
    RejectionReason,
)

_KINDS = {kind.value: kind for kind in BlockKind}


def encode(answer: ParsedDocument | Rejected) -> bytes:
    """An answer as JSON."""
    if isinstance(answer, Rejected):
        return json.dumps({"reason": answer.reason, "detail": answer.detail}).encode()
    blocks = [[b.kind, b.text, b.heading_path, b.page] for b in answer.blocks]
    about = {
        "media_type": answer.media_type,
        "title": answer.title,
        "language": answer.language,
        "page_count": answer.page_count,
        "metadata": dict(answer.metadata),
    }
    return json.dumps({"blocks": blocks, "about": about}).encode()


def decode(body: bytes) -> ParsedDocument | Rejected:
    """The answer again; ValueError or KeyError when it is none."""
    answer: dict[str, Any] = json.loads(body)
    if "reason" in answer:
        return Rejected(RejectionReason(answer["reason"]), str(answer["detail"]))
    blocks = tuple(
        Block(_KINDS[kind], text, tuple(path), page) for kind, text, path, page in answer["blocks"]
    )
    return ParsedDocument(blocks, **answer["about"])
