"""Gates that a rollout or a reindexing waits for: from the event to the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gate_world import POLICY, Gatehouse, guarded
from gate_world import verdicts as verdicts_of
from google.protobuf.message import Message
from gyre.evaluation.v1 import gate_pb2 as wire
from gyre.evaluation.v1.events_pb2 import GateApproved, GateDecided
from gyre.inference.v1 import rollout_pb2
from gyre.inference.v1.events_pb2 import RolloutChanged
from gyre.retrieval.v1.events_pb2 import IndexBuilt
from gyre.retrieval.v1.reindex_pb2 import IndexVersion
from gyre_evaluation.domain.metrics.case import Evidence
from gyre_runtime.events.compose import compose
from offline_world import ANSWERS
from test_gates import WRONG, SlowModels

SEARCH_POLICY = """\
workload: search
minimum: 20
fixed:
  dataset: sums
  metrics:
    mrr_at_10: {better: true}
    recall_at_10: {margin: 0.02}
"""
GATING, BACK = rollout_pb2.ROLLOUT_STATE_GATING, rollout_pb2.ROLLOUT_STATE_ROLLED_BACK


@pytest.fixture
async def gatehouse(tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with guarded(tmp_path) as one:
        yield one


def rollout(state: Any = GATING, **facts: Any) -> RolloutChanged:
    known: dict[str, Any] = {
        "rollout_id": "rollout-1",
        "kind": rollout_pb2.ROLLOUT_KIND_MODEL,
        "name": "reader",
        "champion": "champion",
        "candidate": "candidate",
        "workload": "answer",
    }
    return RolloutChanged(rollout=rollout_pb2.Rollout(**{**known, **facts}, state=state))


def built(**facts: Any) -> IndexBuilt:
    known: dict[str, Any] = {
        "reindex_id": "reindex-1",
        "collection": "default",
        "index": IndexVersion(name="index-2", embedder="emb-new-v1"),
        "previous": IndexVersion(name="index-1", embedder="bge"),
        "gated": True,
    }
    return IndexBuilt(**{**known, **facts})


async def hear(gatehouse: Gatehouse, event: Message, cause: str = "once") -> None:
    """cause: another one is another telling of the same thing."""
    exchange = gatehouse.past.world.exchange
    exchange.publish(compose(event, tenant="acme", entity_id="e-1", cause=cause))
    await exchange.settled()


async def gates_of(gatehouse: Gatehouse) -> list[wire.Gate]:
    return list((await gatehouse.call("ListGates", wire.ListGatesRequest())).gates)


async def verdict(gatehouse: Gatehouse) -> GateDecided:
    """Of the only gate, as it is said."""
    (gate,) = await gates_of(gatehouse)
    await gatehouse.ended(gate.gate_id)
    (said,) = await gatehouse.past.world.said(GateDecided)
    return said


async def test_a_rollout_that_waits_has_its_gate_once(gatehouse: Gatehouse) -> None:
    await gatehouse.declared(POLICY + "approval: true\n")
    await hear(gatehouse, rollout(rollout_pb2.ROLLOUT_STATE_PROBING), "before")
    assert await gates_of(gatehouse) == []
    await hear(gatehouse, rollout())
    await hear(gatehouse, rollout(), "again")
    (gate,) = await gates_of(gatehouse)
    assert (gate.cause, gate.workload, gate.author) == ("rollout-1", "answer", "")
    assert (gate.candidate.model, gate.champion.model) == ("candidate", "champion")
    ended = await gatehouse.ended(gate.gate_id)
    assert ended.verdict == wire.GATE_VERDICT_PASS
    (said,) = await gatehouse.past.world.said(GateDecided)
    assert (said.cause, said.gate_id, said.verdict) == ("rollout-1", gate.gate_id, "pass")
    assert said.needs_approval
    word = wire.ApproveGateRequest(gate_id=gate.gate_id, granted=False, reason="Not today.")
    await gatehouse.call("ApproveGate", word)
    (told,) = await gatehouse.past.world.said(GateApproved)
    assert (told.cause, told.granted) == ("rollout-1", False)


async def test_a_candidate_that_is_worse_is_told_with_its_reasons(gatehouse: Gatehouse) -> None:
    gatehouse.targets.models = {"candidate": WRONG}
    await gatehouse.declared()
    await hear(gatehouse, rollout())
    said = await verdict(gatehouse)
    assert (said.cause, said.verdict) == ("rollout-1", "fail")
    assert said.reasons == ["fixed: exact_match it is worse by more than 0"]


async def test_a_prompt_is_asked_by_its_version(gatehouse: Gatehouse) -> None:
    await gatehouse.declared()
    prompt = {"kind": rollout_pb2.ROLLOUT_KIND_PROMPT, "name": "answer"}
    await hear(gatehouse, rollout(**prompt, champion="3", candidate="4"))
    (gate,) = await gates_of(gatehouse)
    names = [(one.prompt_name, one.prompt_version) for one in (gate.candidate, gate.champion)]
    assert names == [("answer", "4"), ("answer", "3")]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [({}, "gyre gate declare"), ({"champion": ""}, "name its prompt or its model")],
)
async def test_where_there_can_be_no_gate_it_is_said_once(
    gatehouse: Gatehouse, facts: dict[str, str], reason: str
) -> None:
    if facts:
        await gatehouse.declared()
    for cause in ("once", "again"):
        await hear(gatehouse, rollout(**facts), cause)
    (said,) = await gatehouse.past.world.said(GateDecided)
    assert (said.gate_id, said.cause, said.verdict) == ("", "rollout-1", "insufficient")
    assert reason in said.reasons[0]
    assert await gates_of(gatehouse) == []


async def test_a_gate_that_nothing_waits_for_any_more_is_stopped(tmp_path: Path) -> None:
    async with guarded(tmp_path, SlowModels(dict(ANSWERS)), run_concurrency=1) as gatehouse:
        await gatehouse.declared()
        await hear(gatehouse, rollout())
        (gate,) = await gates_of(gatehouse)
        await gatehouse.ended(gate.gate_id, done=1)
        await hear(gatehouse, rollout(BACK))
        (gate,) = await gates_of(gatehouse)
        assert gate.state == wire.GATE_STATE_CANCELLED
        (said,) = await gatehouse.past.world.said(GateDecided)
    assert (said.cause, said.verdict) == ("rollout-1", "insufficient")
    assert said.reasons == ["the gate was cancelled"]


def indexes(better: str, other: str) -> dict[str, dict[str, list[Evidence]]]:
    """The chunk that is wanted stands first in one, third in the other."""
    found: dict[str, dict[str, list[Evidence]]] = {better: {}, other: {}}
    for place, question in enumerate(ANSWERS):
        right = Evidence("x", f"right-{place}", "d-1", "sums.md", ("Sums", f"Sum {place}"))
        wrong = [Evidence("y", f"wrong-{n}", f"d-2{n}", "other.md") for n in range(2)]
        found[better][question] = [right, *wrong]
        found[other][question] = [*wrong, right]
    return found


async def searchable(gatehouse: Gatehouse, better: str, other: str) -> None:
    """A dataset that names the passages, and a policy of searches."""
    gatehouse.targets.indexes = indexes(better, other)
    relevant = {question: f"sums.md#Sum {place}" for place, question in enumerate(ANSWERS)}
    await gatehouse.past.world.dataset(dict(ANSWERS), "sums", relevant=relevant)
    await gatehouse.declared(SEARCH_POLICY)


async def test_an_index_that_finds_better_passes(gatehouse: Gatehouse) -> None:
    await searchable(gatehouse, better="index-2", other="index-1")
    await hear(gatehouse, built(gated=False), "by a person")
    assert await gates_of(gatehouse) == []
    await hear(gatehouse, built())
    (gate,) = await gates_of(gatehouse)
    assert (gate.candidate.kind, gate.candidate.index) == ("search", "index-2")
    assert (gate.champion.collection, gate.champion.index) == ("default", "index-1")
    ended = await gatehouse.ended(gate.gate_id)
    assert verdicts_of(ended)["fixed/mrr_at_10"] == "pass"
    scores = {one.name: (one.champion, one.candidate) for one in ended.checks}
    assert scores["mrr_at_10"] == (pytest.approx(1 / 3), 1.0)
    (said,) = await gatehouse.past.world.said(GateDecided)
    assert (said.cause, said.verdict, said.candidate.index) == ("reindex-1", "pass", "index-2")


async def test_an_index_that_finds_nothing_for_some_is_not_judged_by_the_rest(
    gatehouse: Gatehouse,
) -> None:
    await searchable(gatehouse, better="index-2", other="index-1")
    found = gatehouse.targets.indexes["index-2"]
    gatehouse.targets.indexes["index-2"] = dict(list(found.items())[:5])
    await hear(gatehouse, built())
    (gate,) = await gates_of(gatehouse)
    ended = await gatehouse.ended(gate.gate_id)
    assert ended.verdict == wire.GATE_VERDICT_FAIL
    pairs = {one.name: one.pairs for one in ended.checks}
    assert pairs["mrr_at_10"] == len(ANSWERS)


async def test_an_index_that_is_gone_is_no_pass(gatehouse: Gatehouse) -> None:
    await searchable(gatehouse, better="index-2", other="index-0")
    await hear(gatehouse, built())
    said = await verdict(gatehouse)
    assert (said.cause, said.verdict) == ("reindex-1", "insufficient")
    assert "NOT_FOUND" in said.reasons[0]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("fresh: {hours: 1, metrics: {groundedness: {}}}\n", "fresh"),
        ("triggers: {strings: [x]}\n", "triggers"),
        ("safety: [{dataset: sums, metrics: [toxicity]}]\n", "toxicity"),
    ],
)
async def test_a_policy_of_searches_asks_for_no_answers(
    gatehouse: Gatehouse, part: str, named: str
) -> None:
    request = wire.DeclareGatePolicyRequest(yaml=SEARCH_POLICY + part)
    refusal = await gatehouse.refused("DeclareGatePolicy", request)
    assert named in str(refusal.trailing_metadata()) + str(refusal.details())


async def test_what_was_heard_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The event and the gate are one commit."""
    async with guarded(tmp_path, SlowModels(dict(ANSWERS)), run_concurrency=1) as gatehouse:
        await gatehouse.declared()
        await hear(gatehouse, rollout())
        (gate,) = await gates_of(gatehouse)
    async with asyncio.timeout(120), guarded(tmp_path) as gatehouse:
        ended = await gatehouse.ended(gate.gate_id)
        (said,) = await gatehouse.past.world.said(GateDecided)
    assert (ended.verdict, said.cause) == (wire.GATE_VERDICT_PASS, "rollout-1")
