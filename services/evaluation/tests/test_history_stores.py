"""What replays, policies and gates promise of their stores, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre_evaluation.adapters.offline.gates import DatabaseGates
from gyre_evaluation.adapters.offline.recorded import DatabaseRecordedAnswers
from gyre_evaluation.adapters.offline.replays import DatabaseReplays
from gyre_evaluation.domain.comparison import Difference, Interval, Verdict
from gyre_evaluation.domain.errors import GateUnknown, PolicyUnknown, ReplayUnknown
from gyre_evaluation.domain.gates.checks import Check, GateVerdict
from gyre_evaluation.domain.gates.gate import Approval, Declared, Gate, GateState, Part
from gyre_evaluation.domain.metrics.case import Cited
from gyre_evaluation.domain.recorded import AnswerFilter, RecordedAnswer
from gyre_evaluation.domain.replays import Outcome, Replay, ReplayState
from gyre_evaluation.domain.runs import Kind, Target
from gyre_evaluation.wire.policies import policy_from
from gyre_runtime.database import Database
from live_world import NOON, opened

YAML = "workload: answer\nfixed: {dataset: sums, metrics: {token_f1: {margin: 0.1}}}\n"
OUTCOME = Outcome(
    (Difference("m", 2, 0.1, 0.2, Interval(0.1, 0.0, 0.2), Verdict.NOT_WORSE),), 1, 2, 3
)


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(request.param, tmp_path) as one:
        yield one


def replay(number: int = 1) -> Replay:
    return Replay(
        replay_id=f"r-{number}",
        tenant="acme",
        author="ada",
        target=Target(Kind.REPLAY, model="new"),
        wanted=AnswerFilter(collection="sums", start=NOON, refused=False, limit=7),
        create_time=NOON,
        metrics=("m",),
        margin=0.25,
        concurrency=2,
    )


def gate(number: int = 1) -> Gate:
    declared = Declared("acme", policy_from(YAML), 1, YAML, "ada", NOON)
    return Gate(f"g-{number}", "acme", "ada", declared, Target(model="a"), Target(model="b"), NOON)


async def test_a_replay_comes_back_as_it_was_kept(database: Database) -> None:
    store = DatabaseReplays(database)
    assert await store.start(replay(), "") == replay()
    further = replace(
        replay(),
        state=ReplayState.RUNNING,
        dataset_version=3,
        answers=9,
        left_out={"chain": 1},
        recorded_run_id="a",
        replayed_run_id="b",
    )
    assert await store.keep(further)
    assert await store.open() == [further]
    assert await store.finish(further, ReplayState.SUCCEEDED, OUTCOME)
    ended = await store.get("acme", "r-1")
    assert ended.end_time is not None
    expected = replace(further, state=ReplayState.SUCCEEDED, outcome=OUTCOME)
    assert replace(ended, end_time=None) == expected
    assert await store.open() == []


async def test_a_replay_that_ended_stays_as_it_is(database: Database) -> None:
    store = DatabaseReplays(database)
    await store.start(replay(), "")
    assert await store.finish(replay(), ReplayState.CANCELLED, None)
    assert not await store.keep(replace(replay(), answers=5))
    assert not await store.finish(replay(), ReplayState.SUCCEEDED, OUTCOME)
    kept = await store.get("acme", "r-1")
    assert (kept.state, kept.answers) == (ReplayState.CANCELLED, 0)


async def test_replays_are_a_tenants_own_and_come_newest_first(database: Database) -> None:
    store = DatabaseReplays(database)
    for number in (1, 2, 3):
        await store.start(replay(number), f"k{number}")
    assert (await store.start(replay(9), "k2")).replay_id == "r-2"
    page = await store.page("acme", limit=2, before="")
    assert [one.replay_id for one in page] == ["r-3", "r-2"]
    assert [one.replay_id for one in await store.page("acme", limit=2, before="r-2")] == ["r-1"]
    assert await store.page("rival", limit=2, before="") == []
    with pytest.raises(ReplayUnknown):
        await store.get("rival", "r-1")


async def test_a_recorded_answer_comes_back_with_all_that_a_replay_needs(
    database: Database,
) -> None:
    store = DatabaseRecordedAnswers(database)
    answer = RecordedAnswer(
        answer_id="a-1",
        time=NOON,
        question="What?",
        completion="That [1].",
        chunk_ids=("c1",),
        arguments={"sentences": '[{"text": "That."}]'},
        messages=(("user", "What?"),),
        citations=(Cited(1, "That."),),
        seconds=0.5,
        input_tokens=3,
        output_tokens=2,
    )
    assert await store.keep("acme", answer, "u-1")
    assert await store.keep("acme", answer, "u-1")
    assert await store.find("acme", AnswerFilter()) == [answer]
    assert [one.text for one in answer.original.passages] == ["That."]


async def test_a_policy_that_says_the_same_is_no_new_version(database: Database) -> None:
    store = DatabaseGates(database)
    first, is_new = await store.declare(gate().declared)
    again, is_newer = await store.declare(gate().declared)
    other, _ = await store.declare(replace(gate().declared, yaml=YAML + "approval: true\n"))
    assert (is_new, is_newer) == (True, False)
    assert [one.version for one in (first, again, other)] == [1, 1, 2]
    assert (await store.declared("acme", "answer", 0)).policy.approval
    assert not (await store.declared("acme", "answer", 1)).policy.approval
    with pytest.raises(PolicyUnknown):
        await store.declared("rival", "answer", 0)


async def test_a_gate_comes_back_as_it_was_kept_and_is_decided_once(database: Database) -> None:
    store = DatabaseGates(database)
    await store.declare(gate().declared)
    assert await store.start(gate(), "k1") == gate()
    assert await store.start(gate(2), "k1") == gate()
    check = Check(
        "fixed", "m", GateVerdict.PASS, "fine", "language=de", 2, 0.1, 0.2, Interval(0.1, 0, 0.2)
    )
    parts = (Part("fixed", "sums", 2, "test", 5, "a", "b"),)
    further = replace(gate(), parts=parts, missing=(check,))
    assert await store.keep(further)
    assert await store.open() == [further]
    decided = replace(further, checks=(check,), verdict=GateVerdict.PASS)
    assert await store.decide(decided)
    assert not await store.decide(replace(decided, verdict=GateVerdict.FAIL))
    assert not await store.cancel("acme", "g-1")
    ended = await store.get("acme", "g-1")
    assert replace(ended, end_time=None) == replace(decided, state=GateState.DECIDED)
    assert await store.open() == []
    async with database.reading() as connection:
        said = await connection.scalar(sa.text("select count(*) from gyre_outbox"))
    assert said == 1
    with pytest.raises(GateUnknown):
        await store.get("rival", "g-1")


async def test_every_word_of_a_person_is_kept(database: Database) -> None:
    store = DatabaseGates(database)
    await store.declare(gate().declared)
    await store.start(gate(), "")
    await store.decide(replace(gate(), verdict=GateVerdict.PASS))
    words = [
        Approval("ada", NOON, True, "yes"),
        Approval("bob", datetime(2026, 6, 1, tzinfo=UTC), False, "no"),
    ]
    for word in words:
        kept = await store.approve(gate(), word)
    assert list(kept.approvals) == words
    assert not kept.may_proceed
