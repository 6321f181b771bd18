"""A document's life is a function of the events heard, whatever their order and number."""

from __future__ import annotations

import pytest
from gyre_retrieval.domain.document import (
    Arrival,
    DocumentState,
    Indexed,
    Unindexed,
    Verdict,
    delete,
    receive,
)
from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.identity import Version
from retrieval_builders import key

EMPTY = DocumentState(key("d"))


def arrival(
    revision: int, part: int = 0, of: int = 1, attempt: int = 1, chunks: int = 2
) -> Arrival:
    return Arrival(Version(revision, attempt), f"r{revision}", part, of, chunks, "e")


def test_a_version_comes_into_force_with_its_last_part() -> None:
    first = receive(EMPTY, arrival(1, 1, 2))
    assert first.verdict is Verdict.STORED
    assert first.state.in_force is None
    assert first.facts == ()
    second = receive(first.state, arrival(1, 0, 2))
    assert second.verdict is Verdict.INDEXED
    assert second.state.in_force is not None
    assert second.state.in_force.chunk_count == 4
    assert second.state.arrivals == frozenset()
    assert [type(fact) for fact in second.facts] == [Indexed]


def test_a_newer_version_sends_the_older_one_away() -> None:
    old = receive(EMPTY, arrival(1)).state
    new = receive(old, arrival(2))
    assert new.leavings == {Version(1, 1)}
    again = receive(new.state, arrival(2, attempt=2))
    assert again.verdict is Verdict.INDEXED
    assert again.leavings == {Version(2, 1)}


def test_a_stale_version_leaves_and_changes_nothing() -> None:
    new = receive(EMPTY, arrival(2)).state
    late = receive(new, arrival(1))
    assert late.verdict is Verdict.STALE
    assert late.state == new
    assert late.leavings == {Version(1, 1)}


def test_parts_of_an_overtaken_version_leave_when_the_newer_one_is_whole() -> None:
    half = receive(EMPTY, arrival(1, 0, 2)).state
    assert receive(half, arrival(2)).leavings == {Version(1, 1)}


def test_an_older_version_may_come_into_force_while_a_newer_one_is_half_here() -> None:
    half = receive(EMPTY, arrival(2, 0, 2)).state
    older = receive(half, arrival(1))
    assert older.verdict is Verdict.INDEXED
    newer = receive(older.state, arrival(2, 1, 2))
    assert newer.verdict is Verdict.INDEXED
    assert newer.leavings == {Version(1, 1)}


@pytest.mark.parametrize("parts", [1, 2])
def test_a_repeated_part_is_known(parts: int) -> None:
    once = receive(EMPTY, arrival(1, 0, parts))
    twice = receive(once.state, arrival(1, 0, parts))
    assert twice.verdict is Verdict.REPEATED
    assert (twice.state, twice.facts, twice.leavings) == (once.state, (), frozenset())


def test_parts_that_contradict_each_other_are_refused() -> None:
    half = receive(EMPTY, arrival(1, 0, 3)).state
    with pytest.raises(PartRefused):
        receive(half, arrival(1, 1, 2))
    with pytest.raises(PartRefused):
        receive(half, arrival(1, 0, 3, chunks=9))


def test_a_deletion_takes_every_revision_up_to_its_own() -> None:
    state = receive(receive(EMPTY, arrival(1)).state, arrival(3, 0, 2)).state
    gone = delete(state, 2, "r2")
    assert gone.verdict is Verdict.UNINDEXED
    assert gone.state.in_force is None
    assert gone.leavings == {Version(1, 1)}
    assert gone.facts == (Unindexed(key("d"), 2, "r2", 2),)
    assert receive(gone.state, arrival(3, 1, 2)).verdict is Verdict.INDEXED


def test_a_part_that_comes_after_its_deletion_is_stale() -> None:
    gone = delete(EMPTY, 1, "r1")
    assert gone.facts == (Unindexed(key("d"), 1, "r1", 0),)
    assert receive(gone.state, arrival(1)).verdict is Verdict.STALE
    assert receive(gone.state, arrival(1, attempt=7)).verdict is Verdict.STALE
    assert delete(gone.state, 1, "r1").verdict is Verdict.REPEATED


def test_a_late_deletion_of_an_old_revision_keeps_the_new_one() -> None:
    state = receive(EMPTY, arrival(2)).state
    late = delete(state, 1, "r1")
    assert late.verdict is Verdict.STALE
    assert late.state.in_force == state.in_force
    assert late.facts == ()
