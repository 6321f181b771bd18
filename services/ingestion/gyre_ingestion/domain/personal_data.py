"""Replaces personal data by typed placeholders."""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gyre_ingestion.domain.parsed import ParsedDocument

_FORMATTING = re.compile(r"[\s().\-/]+")
_MARK_LENGTH = 8


class PersonalDataPolicy(StrEnum):
    """What happens to personal data before anything goes downstream."""

    OFF = "off"
    MASK = "mask"
    PSEUDONYMISE = "pseudonymise"


@dataclass(frozen=True)
class Finding:
    """A piece of personal data in a text: code points, end exclusive, and its type in capitals."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Redaction:
    """A document without its personal data, and how many pieces were replaced, by type."""

    document: ParsedDocument
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Pieces replaced in the text."""
        return sum(self.counts.values())


Naming = Callable[[str, str], str]
"""Makes the placeholder of a type and a value."""


def mask(kind: str, value: str) -> str:
    """`<EMAIL_ADDRESS>`, whatever the value."""
    return f"<{kind}>"


def pseudonyms(key: bytes, tenant: str) -> Naming:
    """`<EMAIL_ADDRESS_7f3a01bc>`: the same for the same value in the tenant, nowhere else.

    Without the key neither the value nor its equality in two tenants can be told.
    """
    own = hmac.digest(key, tenant.encode(), hashlib.sha256)

    def name(kind: str, value: str) -> str:
        plain = _FORMATTING.sub("", value).casefold()
        mark = hmac.new(own, f"{kind}\0{plain}".encode(), hashlib.sha256).hexdigest()
        return f"<{kind}_{mark[:_MARK_LENGTH]}>"

    return name


def texts_of(document: ParsedDocument) -> list[str]:
    """Every text of the document in which personal data may stand, each once."""
    headings = (heading for block in document.blocks for heading in block.heading_path)
    blocks = (block.text for block in document.blocks)
    return list(dict.fromkeys([document.title, *document.metadata.values(), *headings, *blocks]))


def redacted(
    document: ParsedDocument, findings: Mapping[str, Sequence[Finding]], naming: Naming
) -> Redaction:
    """The document with `findings` (by text) replaced; counts are those of its blocks."""

    if not findings:
        return Redaction(document, {})

    def clean(text: str) -> str:
        return _replaced(text, findings.get(text, ()), naming)

    blocks = tuple(
        replace(block, text=clean(block.text), heading_path=tuple(map(clean, block.heading_path)))
        for block in document.blocks
    )
    metadata = {key: clean(value) for key, value in document.metadata.items()}
    counts = Counter(
        finding.kind for block in document.blocks for finding in findings.get(block.text, ())
    )
    return Redaction(
        replace(document, blocks=blocks, title=clean(document.title), metadata=metadata), counts
    )


def _replaced(text: str, findings: Iterable[Finding], naming: Naming) -> str:
    for finding in sorted(findings, key=lambda found: -found.start):
        placeholder = naming(finding.kind, text[finding.start : finding.end])
        text = text[: finding.start] + placeholder + text[finding.end :]
    return text
