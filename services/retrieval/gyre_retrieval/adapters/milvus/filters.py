"""The only place where filters are built.

Milvus Lite rejects filter templates, and a filter made from users' strings has leaked another
tenant's rows. So nothing that a user names stands in a filter: only digests of it do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gyre_retrieval.domain.identity import digest, scope_of, version_key
from gyre_retrieval.domain.passage import Passage, Source
from gyre_retrieval.domain.query import Conditions
from gyre_retrieval.ports import Leaving

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SEPARATOR = "."


def primary_key(passage: Passage) -> str:
    """Holds tenant, collection, document, version and chunk; a repetition has the same one."""
    return digest(version_key(passage.document, passage.version), passage.chunk.chunk_id)


def document_mark(document_id: str) -> str:
    return digest("document", document_id)


def chunk_mark(chunk_id: str) -> str:
    return digest("chunk", chunk_id)


def labels_field(source: Source) -> str:
    """One text of marks, each between separators: Lite filters arrays row by row in Python."""
    marks = [_language_mark(source.language)]
    marks += [_label_mark(name, value) for name, value in sorted(source.metadata.items())]
    return _SEPARATOR + _SEPARATOR.join(marks) + _SEPARATOR


def scope_filter(conditions: Conditions, *, chunk_id: str | None = None) -> str:
    """Tenant and collection always stand in it."""
    clauses = [_equal("scope", scope_of(conditions.tenant, conditions.collection))]
    if chunk_id is not None:
        clauses.append(_equal("chunk", chunk_mark(chunk_id)))
    if conditions.document_ids:
        clauses.append(one_of("document", map(document_mark, conditions.document_ids)))
    if conditions.languages:
        languages = sorted(map(_language_mark, conditions.languages))
        clauses.append("(" + " or ".join(_labelled(mark) for mark in languages) + ")")
    for name, value in sorted(conditions.metadata.items()):
        clauses.append(_labelled(_label_mark(name, value)))
    return " and ".join(clauses)


def versions_filter(leavings: Iterable[Leaving]) -> str:
    return one_of("version", (version_key(one.document, one.version) for one in leavings))


def one_of(field: str, digests: Iterable[str]) -> str:
    return f"{field} in [{', '.join(_quoted(one) for one in sorted(digests))}]"


def _equal(field: str, value: str) -> str:
    return f"{field} == {_quoted(value)}"


def _labelled(mark: str) -> str:
    _quoted(mark)
    return f'labels like "%{_SEPARATOR}{mark}{_SEPARATOR}%"'


def _language_mark(language: str) -> str:
    return digest("language", language)


def _label_mark(name: str, value: str) -> str:
    return digest("metadata", name, value)


def _quoted(value: str) -> str:
    if not _DIGEST.fullmatch(value):
        raise ValueError("only digests stand in a filter")
    return f'"{value}"'
