"""Questions to the index and what answers them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gyre_retrieval.domain.errors import QueryInvalid
from gyre_retrieval.domain.passage import Passage

COLLECTION_NAME = re.compile(r"[a-z0-9_-]{1,64}")
DEFAULT_COLLECTION = "default"
MAXIMUM_QUERY = 4096
MAXIMUM_TOP_K = 100
MAXIMUM_CONDITIONS = 200


class Route(StrEnum):
    """A way to find passages: by meaning, by words."""

    DENSE = "dense"
    LEXICAL = "lexical"


class Mode(StrEnum):
    """Which routes a query takes."""

    DENSE = "dense"
    LEXICAL = "lexical"
    HYBRID = "hybrid"

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(Route) if self is Mode.HYBRID else (Route(self.value),)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a passage's document must fulfil; empty means anything.

    Tenant and collection always hold.
    """

    tenant: str
    collection: str
    document_ids: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def allow(self, passage: Passage) -> bool:
        """Checked on every hit, although the index was asked for nothing else."""
        document, source = passage.document, passage.source
        return (
            (document.tenant, document.collection) == (self.tenant, self.collection)
            and (not self.document_ids or document.document_id in self.document_ids)
            and (not self.languages or source.language in self.languages)
            and self.metadata.items() <= source.metadata.items()
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A search. Scores below minimum_score are dropped; 0 keeps all."""

    text: str
    mode: Mode
    top_k: int
    conditions: Conditions
    minimum_score: float = 0.0

    def __post_init__(self) -> None:
        conditions = self.conditions
        violations = dict(collection_violations(conditions.collection))
        if not 1 <= len(self.text) <= MAXIMUM_QUERY or not self.text.strip():
            violations["query"] = f"give 1 to {MAXIMUM_QUERY} characters, not only blanks"
        if not 1 <= self.top_k <= MAXIMUM_TOP_K:
            violations["top_k"] = f"give 1 to {MAXIMUM_TOP_K}, or 0 for the default"
        if not self.minimum_score >= 0.0:
            violations["minimum_score"] = "give a number of at least 0"
        for name in ("document_ids", "languages", "metadata"):
            if len(getattr(conditions, name)) > MAXIMUM_CONDITIONS:
                violations[f"filter.{name}"] = f"give at most {MAXIMUM_CONDITIONS}"
        if violations:
            raise QueryInvalid(violations)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that one route found. score: cosine, or BM25."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class RouteScore:
    """rank counts from 1 among what the caller may see."""

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage, its score on the mode's scale, and what each route thought of it."""

    passage: Passage
    score: float
    routes: Mapping[Route, RouteScore]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first. Durations in seconds."""

    hits: tuple[Hit, ...]
    index_version: str
    embed_seconds: float
    index_seconds: float


def collection_violations(name: str) -> Mapping[str, str]:
    if COLLECTION_NAME.fullmatch(name):
        return {}
    return {"collection": "give 1 to 64 characters of a-z, 0-9, '_' and '-'"}
