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


class Verdict(StrEnum):
    """What a gate came to; NONE before."""

    NONE = ""
    PASS = "pass"
    FAIL = "fail"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Gate:
    """What is known of the gate of a reindexing. granted: a person's last word, None before it.
    Verdict and word may come in any order."""

    gate_id: str = ""
    verdict: Verdict = Verdict.NONE
    needs_approval: bool = False
    reasons: str = ""
    granted: bool | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A trained embedder that an index of the collection shall be filled for.

    model: name and version in the registry, `NAME/VERSION`.
    """

    tenant: str
    collection: str
    embedder: str
    dimension: int
    model: str
    training_id: str

    @property
    def creation_key(self) -> str:
        return f"{self.training_id}/{self.collection}"


@dataclass(frozen=True, slots=True)
class Reindex:
    """Times in seconds since 1970, None before. previous: the index in use when it began, or when
    it was switched to last.

    detail: what holds it up now. tenant: of who started it; the index is of all tenants. gated: a
    gate decides over the switch. model: as of a `Wish`; empty where a person started it.
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
    gated: bool = False
    model: str = ""
    creation_key: str | None = None
    gate: Gate = Gate()

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


class Step(StrEnum):
    """What follows from a gate."""

    SWITCH = "switch"
    ABORT = "abort"


def step_of(reindex: Reindex) -> Step | None:
    """None while there is nothing to do. One that was switched once is a person's from then on."""
    ready = reindex.state is ReindexState.READY and reindex.switch_time is None
    if not reindex.gated or not ready:
        return None
    gate = reindex.gate
    if gate.granted is False or gate.verdict in (Verdict.FAIL, Verdict.INSUFFICIENT):
        return Step.ABORT
    granted = gate.granted or not gate.needs_approval
    return Step.SWITCH if gate.verdict is Verdict.PASS and granted else None


def refusal(gate: Gate) -> str:
    """Why it was given up, for people."""
    verdict = "refused by a person" if gate.granted is False else gate.verdict
    told = f"gate {gate.gate_id}: {verdict}" if gate.gate_id else f"gate: {verdict}"
    return f"{told}: {gate.reasons}"[:LONGEST_REASON] if gate.reasons else told


def is_newer(model: str, than: str) -> bool:
    """Whether `NAME/VERSION` may take the place of the other one: events come in any order, so an
    earlier version of the same name never does."""
    name, _, version = model.rpartition("/")
    old_name, _, old_version = than.rpartition("/")
    if name != old_name:
        return True
    if version.isdecimal() and old_version.isdecimal():
        return int(version) > int(old_version)
    return version != old_version


def text_violations(fields: Mapping[str, str]) -> Mapping[str, str]:
    """Fields that are longer than people need."""
    return {
        name: f"give at most {LONGEST_REASON} characters"
        for name, text in fields.items()
        if len(text) > LONGEST_REASON
    }
