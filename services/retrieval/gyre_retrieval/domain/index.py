"""Indexes: one per collection and embedder, each with a name that Milvus takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gyre_retrieval.domain.identity import digest

LAYOUT = "1"


@dataclass(frozen=True, slots=True)
class Index:
    """A physical index. name: the index version that search reports."""

    name: str
    collection: str
    embedder: str
    dimension: int

    @property
    def alias(self) -> str:
        """The name of the collection's index in use, for people and tools that look at Milvus."""
        return f"gyre_{_readable(self.collection)}_{digest(self.collection)[:8]}"


@dataclass(frozen=True, slots=True)
class View:
    """A tenant's collection at one moment.

    index: None until the first document. generation: grows with every change of what is in force.
    """

    index: Index | None
    generation: int


@dataclass(frozen=True, slots=True)
class InForce:
    """generation: the collection's generation that brought this holding into force."""

    revision: int
    attempt: int
    generation: int


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """Counts are of what is in force."""

    name: str
    document_count: int
    chunk_count: int
    index: Index | None


def index_for(collection: str, embedder: str, dimension: int) -> Index:
    """The index of a collection for one embedder; the layout's number is part of the name."""
    mark = digest(collection, embedder, str(dimension), LAYOUT)[:16]
    return Index(f"gyre_{_readable(collection)}_{mark}", collection, embedder, dimension)


def shadow_for(collection: str, embedder: str, dimension: int, reindex_id: str) -> Index:
    """An index that a reindexing fills. No two have the same name: what is written late into one
    that was given up is never found in the next one."""
    mark = digest(collection, embedder, str(dimension), LAYOUT, reindex_id)[:16]
    return Index(f"gyre_{_readable(collection)}_{mark}", collection, embedder, dimension)


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())[:64]
