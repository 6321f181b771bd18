"""What is what: documents, versions of them, and names that cannot be forged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A document of one tenant's collection."""

    tenant: str
    collection: str
    document_id: str


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """One processing of one revision; the higher one replaces the lower one, always."""

    revision: int
    attempt: int


def digest(*parts: str) -> str:
    """Sixty-four hexadecimal digits; no two different lists of parts share them.

    Each part is preceded by its length: ("ab", "c") and ("a", "bc") differ. Hostile characters
    end here: whatever a name holds, its digest is safe in a key, a name and a filter.
    """
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode()
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()


def scope_of(tenant: str, collection: str) -> str:
    return digest("scope", tenant, collection)


def version_key(document: DocumentKey, version: Version) -> str:
    """Names all passages of one version of one document."""
    number = (str(version.revision), str(version.attempt))
    return digest("version", document.tenant, document.collection, document.document_id, *number)
