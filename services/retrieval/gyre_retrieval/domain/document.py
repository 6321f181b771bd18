"""The life of a document in the index: parts arrive, a version comes into force, one leaves.

Every verb is a pure function from a state to a change, so that any order and any number of
repetitions of the same events end in the same state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.identity import DocumentKey, Version


class Verdict(StrEnum):
    """What an event came to."""

    STORED = "stored"
    INDEXED = "indexed"
    UNINDEXED = "unindexed"
    REPEATED = "repeated"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Holding:
    """The version that search finds."""

    version: Version
    revision_id: str
    chunk_count: int
    embedder: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A part whose passages lie durably in the index of `embedder`."""

    version: Version
    revision_id: str
    part_index: int
    part_count: int
    chunk_count: int
    embedder: str


@dataclass(frozen=True, slots=True)
class DocumentState:
    """deleted_revision: every revision up to it is gone for good; 0 when none was deleted."""

    document: DocumentKey
    in_force: Holding | None = None
    deleted_revision: int = 0
    arrivals: frozenset[Arrival] = frozenset()


@dataclass(frozen=True, slots=True)
class Indexed:
    """A fact: search finds this version and no other."""

    document: DocumentKey
    holding: Holding


@dataclass(frozen=True, slots=True)
class Unindexed:
    """A fact: search finds the document no more."""

    document: DocumentKey
    revision: int
    revision_id: str
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Change:
    """The state after an event, what is to be said, and versions whose passages must go."""

    state: DocumentState
    verdict: Verdict
    facts: tuple[Indexed | Unindexed, ...] = ()
    leavings: frozenset[Version] = frozenset()


def standing(state: DocumentState, version: Version) -> Verdict:
    """STORED where passages of this version are still wanted, else REPEATED or STALE."""
    if version.revision <= state.deleted_revision:
        return Verdict.STALE
    if state.in_force is None or version > state.in_force.version:
        return Verdict.STORED
    return Verdict.REPEATED if version == state.in_force.version else Verdict.STALE


def receive(state: DocumentState, arrival: Arrival) -> Change:
    """A part is in; when it is the last one, its version comes into force."""
    verdict = standing(state, arrival.version)
    if verdict is Verdict.STALE:
        return Change(state, verdict, leavings=frozenset({arrival.version}))
    if verdict is Verdict.REPEATED:
        return Change(state, verdict)
    siblings = siblings_of(state, arrival.version)
    _refuse_contradiction(siblings, arrival)
    if arrival in siblings:
        return Change(state, Verdict.REPEATED)
    before = {known for known in siblings if known.part_index == arrival.part_index}
    grown = replace(state, arrivals=(state.arrivals - before) | {arrival})
    parts = siblings_of(grown, arrival.version)
    if len(parts) < arrival.part_count:
        return Change(grown, Verdict.STORED)
    return _bring_into_force(grown, parts)


def siblings_of(state: DocumentState, version: Version) -> frozenset[Arrival]:
    """The parts of a version that have arrived."""
    return frozenset(known for known in state.arrivals if known.version == version)


def scattered(state: DocumentState, version: Version, embedder: str) -> frozenset[Arrival]:
    """The parts of a version that lie in another index than that of `embedder`."""
    return frozenset(one for one in siblings_of(state, version) if one.embedder != embedder)


def gathered(state: DocumentState, parts: frozenset[Arrival], embedder: str) -> DocumentState:
    """These parts were copied to the index of `embedder`."""
    copied = frozenset(replace(one, embedder=embedder) for one in parts & state.arrivals)
    return replace(state, arrivals=(state.arrivals - parts) | copied)


def delete(state: DocumentState, revision: int, revision_id: str) -> Change:
    """Every revision up to this one is gone; a newer one stays."""
    if revision <= state.deleted_revision:
        return Change(state, Verdict.REPEATED)
    gone = {known.version for known in state.arrivals if known.version.revision <= revision}
    kept = frozenset(known for known in state.arrivals if known.version.revision > revision)
    after = replace(state, deleted_revision=revision, arrivals=kept)
    held = state.in_force
    if held is not None and held.version.revision > revision:
        return Change(after, Verdict.STALE, leavings=frozenset(gone))
    if held is not None:
        gone.add(held.version)
    count = held.chunk_count if held else 0
    fact = Unindexed(state.document, revision, revision_id, count)
    return Change(
        replace(after, in_force=None), Verdict.UNINDEXED, facts=(fact,), leavings=frozenset(gone)
    )


def _refuse_contradiction(siblings: frozenset[Arrival], arrival: Arrival) -> None:
    for sibling in siblings:
        if sibling.part_count != arrival.part_count:
            raise PartRefused("parts_disagree", "parts of one version differ in their count")
        same = replace(sibling, embedder=arrival.embedder) == arrival
        if sibling.part_index == arrival.part_index and not same:
            raise PartRefused("parts_disagree", f"part {arrival.part_index} came with two contents")


def _bring_into_force(state: DocumentState, parts: frozenset[Arrival]) -> Change:
    last = next(iter(parts))
    chunk_count = sum(part.chunk_count for part in parts)
    holding = Holding(last.version, last.revision_id, chunk_count, last.embedder)
    gone = {known.version for known in state.arrivals if known.version < last.version}
    if state.in_force is not None:
        gone.add(state.in_force.version)
    kept = frozenset(known for known in state.arrivals if known.version > last.version)
    after = replace(state, in_force=holding, arrivals=kept)
    fact = Indexed(state.document, holding)
    return Change(after, Verdict.INDEXED, facts=(fact,), leavings=frozenset(gone))
