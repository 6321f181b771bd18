"""An index for another embedder: filled beside the one in use, switched to, or given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import Index

LONGEST_REASON = 1000


class ReindexState(StrEnum):
    """FILLING: the index is being filled. READY: it holds all that is in force. SWITCHED: it is in
    use and the one before is kept. ENDED: it is in use alone. ABORTED: it is gone."""

    FILLING = "filling"
    READY = "ready"
    SWITCHED = "switched"
    ENDED = "ended"
    ABORTED = "aborted"


OPEN = (ReindexState.FILLING, ReindexState.READY, ReindexState.SWITCHED)


class ReindexUnknown(Exception):
    """There is no reindexing of that id."""


class ReindexRefused(Exception):
    """Not now, or not of this collection; the message says why."""


class NotCaughtUp(Exception):
    """Documents in force are missing in the index that is to be used."""


@dataclass(frozen=True, slots=True)
class Reindex:
    """Times in seconds since 1970, None before. previous: the index in use when it began, or when
    it was switched to last.

    detail: what holds it up now. tenant: of who started it; the index is of all tenants.
    """

    reindex_id: str
    tenant: str
    principal: str
    reason: str
    index: Index
    previous: Index
    start_time: float
    state: ReindexState = ReindexState.FILLING
    detail: str = ""
    build_time: float | None = None
    switch_time: float | None = None
    keep_until: float | None = None
    end_time: float | None = None

    @property
    def collection(self) -> str:
        return self.index.collection

    @property
    def follower(self) -> Index:
        """The index of the two that is not in use, kept up to the one in use."""
        return self.previous if self.state is ReindexState.SWITCHED else self.index

    @property
    def in_use(self) -> Index:
        """Of the two, while it is open."""
        return self.index if self.state is ReindexState.SWITCHED else self.previous


@dataclass(frozen=True, slots=True)
class Progress:
    """Of what is in force, how much is in the index."""

    documents_done: int
    documents_total: int
    chunks_done: int
    chunks_total: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version in force with all its passages, to be copied to another index."""

    document: DocumentKey
    version: Version
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One live search, answered by both indexes. judged: helpfulness of what each found, where
    people judged passages of both."""

    overlap: float
    correlation: float | None
    seconds_in_use: float
    seconds_other: float
    judged_in_use: float | None = None
    judged_other: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A query with the ids of its relevant chunks."""

    query: str
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """One judged query, by both indexes: what was found, and in how many seconds."""

    reciprocal_rank: tuple[float, float]
    recall: tuple[float, float]
    seconds: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the ends of its 95 % interval; None where there are under two values."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class LiveComparison:
    """See `gyre.retrieval.v1.LiveComparison`. helpfulness: in use, other, difference."""

    searches: int
    overlap: Interval
    correlation: Interval | None
    latency: tuple[Latency, Latency]
    judged_searches: int
    helpfulness: tuple[Interval, Interval, Interval] | None


@dataclass(frozen=True, slots=True)
class JudgedComparison:
    """See `gyre.retrieval.v1.JudgedComparison`. Of each metric: in use, other, difference."""

    queries: int
    mrr: tuple[Interval, Interval, Interval]
    recall: tuple[Interval, Interval, Interval]
    latency: tuple[Latency, Latency]
    compare_time: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A reindexing with all that is known about it."""

    reindex: Reindex
    progress: Progress
    live: LiveComparison | None
    judged: JudgedComparison | None


def text_violations(fields: Mapping[str, str]) -> Mapping[str, str]:
    """Fields that are longer than people need."""
    return {
        name: f"give at most {LONGEST_REASON} characters"
        for name, text in fields.items()
        if len(text) > LONGEST_REASON
    }
