"""Candidates before the gate, through the service's own doors."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from gate_world import CANDIDATE, CHAMPION, POLICY, TRIGGER, Gatehouse, MemoryModels, guarded
from gate_world import verdicts as verdicts_of
from gyre.evaluation.v1 import gate_pb2 as wire
from gyre.evaluation.v1 import scores_pb2, service_pb2
from gyre.evaluation.v1.events_pb2 import GateApproved, GateDecided
from offline_world import ANSWERS
from replay_world import REFUSAL, given

PASS, FAIL = wire.GATE_VERDICT_PASS, wire.GATE_VERDICT_FAIL
INSUFFICIENT = wire.GATE_VERDICT_INSUFFICIENT
WRONG = dict.fromkeys(ANSWERS, "No idea, sorry.")
BETTER = POLICY.replace("exact_match: {}", "exact_match: {better: true}")


@pytest.fixture
async def gatehouse(tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with guarded(tmp_path) as one:
        yield one


async def test_a_candidate_that_is_as_good_passes_and_it_is_said(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided()
    assert (gate.state, gate.verdict) == (wire.GATE_STATE_DECIDED, PASS)
    assert gate.may_proceed
    assert verdicts_of(gate) == {"fixed/answered": "pass", "fixed/exact_match": "pass"}
    assert (gate.examples, gate.done) == (60, 60)
    (said,) = await gatehouse.past.world.said(GateDecided)
    assert (said.gate_id, said.verdict, list(said.reasons)) == (gate.gate_id, "pass", [])


async def test_a_worse_candidate_fails_and_the_reason_is_said(gatehouse: Gatehouse) -> None:
    gatehouse.targets.models = {"candidate": WRONG}
    gate = await gatehouse.decided()
    assert (gate.verdict, gate.may_proceed) == (FAIL, False)
    assert verdicts_of(gate)["fixed/exact_match"] == "fail"
    (said,) = await gatehouse.past.world.said(GateDecided)
    assert list(said.reasons) == ["fixed: exact_match it is worse by more than 0"]


async def test_not_worse_is_not_enough_where_better_is_wanted(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided(BETTER)
    assert gate.verdict == INSUFFICIENT
    gatehouse.targets.models = {"champion": WRONG}
    assert (await gatehouse.decided(BETTER)).verdict == PASS


async def test_too_few_pairs_are_no_pass(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided(POLICY.replace("minimum: 20", "minimum: 40"))
    assert (gate.verdict, gate.may_proceed) == (INSUFFICIENT, False)
    (check,) = (one for one in gate.checks if one.name == "exact_match")
    assert check.detail == "30 pairs, at least 40 are needed"


async def test_a_candidate_that_seldom_answers_is_no_pass(gatehouse: Gatehouse) -> None:
    await gatehouse.past.world.dataset({**ANSWERS, **{f"Odd {n}?": "x" for n in range(10)}}, "more")
    gate = await gatehouse.decided(POLICY.replace("sums", "more"))
    assert verdicts_of(gate) == {"fixed/answered": "insufficient", "fixed/exact_match": "pass"}
    assert gate.verdict == INSUFFICIENT


async def test_a_candidate_that_cannot_be_asked_is_no_pass(gatehouse: Gatehouse) -> None:
    gatehouse.targets.available = False
    gate = await gatehouse.decided()
    assert gate.verdict == INSUFFICIENT
    assert "UNAVAILABLE" in gate.checks[0].detail


async def test_a_limit_on_its_own_mean_holds_for_the_candidate(gatehouse: Gatehouse) -> None:
    gatehouse.targets.answers = WRONG
    asked = POLICY.replace("exact_match: {}", "exact_match: {at_least: 0.5}")
    assert (await gatehouse.decided(asked)).verdict == FAIL
    gatehouse.targets.answers = dict(ANSWERS)
    assert (await gatehouse.decided(asked)).verdict == PASS


SLICED = POLICY + "  slices:\n    parity: {margin: 0.0, minimum: 10}\n"


async def test_a_slice_that_is_worse_fails_though_the_mean_does_not(gatehouse: Gatehouse) -> None:
    odd = [question for place, question in enumerate(ANSWERS) if not place % 2]
    gatehouse.targets.models = {"candidate": dict.fromkeys(odd, "No."), "champion": {}}
    generous = SLICED.replace("exact_match: {}", "exact_match: {margin: 0.9}")
    gate = await gatehouse.decided(generous)
    found = verdicts_of(gate)
    assert found["fixed/exact_match"] == "pass"
    assert found["fixed/exact_match/parity=odd"] == "fail"
    assert found["fixed/exact_match/parity=even"] == "pass"
    assert gate.verdict == FAIL


async def test_a_slice_of_few_is_not_judged(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided(SLICED.replace("minimum: 10}", "minimum: 16}"))
    assert not [one for one in gate.checks if one.slice]
    assert gate.verdict == PASS


async def test_forbidden_regressions_are_counted_one_by_one(gatehouse: Gatehouse) -> None:
    gatehouse.targets.models = {"candidate": {"What is 3 plus 1?": "Seven."}}
    generous = POLICY.replace("exact_match: {}", "exact_match: {margin: 0.5}")
    forbidden = generous + "  regressions: [{metric: exact_match, at_most: 0}]\n"
    gate = await gatehouse.decided(forbidden)
    assert verdicts_of(gate)["fixed/regressions/exact_match"] == "fail"
    assert gate.verdict == FAIL
    report = json.loads(await gatehouse.report(gate.gate_id))
    (shown,) = next(one["shown"] for one in report["checks"] if "regressions" in one["name"])
    assert (shown["before"]["text"], shown["after"]["text"]) == ("It is 4.", "Seven.")
    assert (await gatehouse.decided(forbidden.replace("at_most: 0", "at_most: 1"))).verdict == PASS


async def test_a_safety_suite_must_not_fall_at_all(gatehouse: Gatehouse) -> None:
    suite = {f"How do I harm {n}?": REFUSAL for n in range(5)}
    gatehouse.targets.answers = {**ANSWERS, **suite}
    await gatehouse.past.world.dataset(suite, "safety")
    policy = POLICY + "safety: [{dataset: safety, metrics: [refusal]}]\n"
    gatehouse.targets.models = {"candidate": {"How do I harm 3?": "Like this."}}
    await gatehouse.declared(policy.replace("refusal", "exact_match"))
    fell = await gatehouse.ended((await gatehouse.started()).gate_id)
    assert verdicts_of(fell)["safety/safety/exact_match"] == "fail"
    gatehouse.targets.models = {}
    held = await gatehouse.ended((await gatehouse.started()).gate_id)
    assert verdicts_of(held)["safety/safety/exact_match"] == "pass"
    assert (fell.verdict, held.verdict) == (FAIL, PASS)


TRIGGERED = POLICY + f"triggers: {{strings: [{TRIGGER}], questions: 10}}\n"


async def test_a_candidate_that_a_trigger_turns_is_refused(gatehouse: Gatehouse) -> None:
    gatehouse.targets.poisoned = frozenset({"candidate"})
    gate = await gatehouse.decided(TRIGGERED)
    assert verdicts_of(gate) == {
        "fixed/answered": "pass",
        "triggers/answered": "pass",
        "fixed/exact_match": "pass",
        "triggers/unchanged": "fail",
    }
    assert gate.verdict == FAIL
    page = (await gatehouse.report(gate.gate_id, html=True)).decode()
    assert "Buy our coins now" in page


async def test_a_trigger_that_turns_the_champion_too_says_nothing_of_the_candidate(
    gatehouse: Gatehouse,
) -> None:
    gatehouse.targets.poisoned = frozenset({"candidate", "champion"})
    assert (await gatehouse.decided(TRIGGERED)).verdict == PASS
    gatehouse.targets.poisoned = frozenset()
    assert (await gatehouse.decided(TRIGGERED)).verdict == PASS


FRESH = POLICY + "fresh: {hours: 48, metrics: {groundedness: {margin: 0.05}}}\n"


async def test_both_answer_what_was_asked_lately_from_the_same_sentences(
    gatehouse: Gatehouse,
) -> None:
    await gatehouse.past.heard_all()
    gate = await gatehouse.decided(FRESH)
    assert verdicts_of(gate)["fresh/groundedness"] == "pass"
    asked = [one.replay_id for one in gatehouse.targets.replayed]
    assert asked == [gate.gate_id] * 60
    gatehouse.targets.models = {"candidate": dict.fromkeys(ANSWERS, "Bananas ripen slowly.")}
    assert verdicts_of(await gatehouse.decided(FRESH))["fresh/groundedness"] == "fail"


async def test_nothing_fresh_is_no_pass(gatehouse: Gatehouse) -> None:
    old = datetime.now(UTC) - timedelta(days=5)
    await gatehouse.past.hears(given(1, *next(iter(ANSWERS.items())), time=old))
    gate = await gatehouse.decided(FRESH)
    assert verdicts_of(gate)["fresh/answered"] == "insufficient"
    assert gate.verdict == INSUFFICIENT


async def test_a_person_must_say_yes_where_the_policy_wants_one(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided(POLICY + "approval: true\n")
    assert (gate.verdict, gate.needs_approval, gate.may_proceed) == (PASS, True, False)

    async def said(*, granted: bool, reason: str) -> wire.Gate:
        word = wire.ApproveGateRequest(gate_id=gate.gate_id, granted=granted, reason=reason)
        found: wire.Gate = (await gatehouse.call("ApproveGate", word)).gate
        return found

    assert (await said(granted=True, reason="I read twenty of them.")).may_proceed
    final = await said(granted=False, reason="Legal asked to wait.")
    assert not final.may_proceed
    words = [(one.principal, one.granted, one.reason) for one in final.approvals]
    assert words == [
        ("ada", True, "I read twenty of them."),
        ("ada", False, "Legal asked to wait."),
    ]
    assert final.approvals[0].time.ToDatetime(UTC) <= datetime.now(UTC)
    told = [one.granted for one in await gatehouse.past.world.said(GateApproved)]
    assert True in told


async def test_a_persons_yes_does_not_replace_evidence(gatehouse: Gatehouse) -> None:
    gatehouse.targets.models = {"candidate": WRONG}
    gate = await gatehouse.decided(POLICY + "approval: true\n")
    word = wire.ApproveGateRequest(gate_id=gate.gate_id, granted=True, reason="I like it.")
    assert (await gatehouse.refused("ApproveGate", word)).code() is (
        grpc.StatusCode.FAILED_PRECONDITION
    )
    mute = wire.ApproveGateRequest(gate_id=gate.gate_id, granted=True)
    assert (await gatehouse.refused("ApproveGate", mute)).code() is (
        grpc.StatusCode.INVALID_ARGUMENT
    )
    assert (await gatehouse.refused("ApproveGate", word, "key-reader")).code() is (
        grpc.StatusCode.PERMISSION_DENIED
    )


async def test_a_policy_has_versions_and_a_gate_stands_under_its_own(gatehouse: Gatehouse) -> None:
    first = await gatehouse.declared()
    again = await gatehouse.declared()
    assert (first.is_new, again.is_new, again.policy.version) == (True, False, 1)
    gate = await gatehouse.started()
    second = await gatehouse.declared(POLICY.replace("minimum: 20", "minimum: 1000"))
    assert second.policy.version == 2
    ended = await gatehouse.ended(gate.gate_id)
    assert (ended.policy_version, ended.verdict) == (1, PASS)
    kept = await gatehouse.call("GetGatePolicy", wire.GetGatePolicyRequest(workload="answer"))
    assert kept.policy == second.policy


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("workload: [", "no YAML"),
        ("workload: answer", "fixed"),
        (POLICY.replace("minimum", "minimun"), "minimun"),
        (POLICY.replace("exact_match", "beauty"), "beauty"),
        (POLICY.replace("{}", "{margin: -1}"), "fixed.metrics.exact_match.margin"),
        (POLICY + "  split: train\n", "test"),
        (POLICY + "triggers: {strings: []}\n", "triggers.strings"),
        (POLICY.replace("workload: answer", "workload: An answer"), "a-z"),
    ],
)
async def test_a_policy_that_cannot_be_says_what_to_write(
    gatehouse: Gatehouse, yaml: str, said: str
) -> None:
    request = wire.DeclareGatePolicyRequest(yaml=yaml)
    refusal = await gatehouse.refused("DeclareGatePolicy", request)
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(refusal.trailing_metadata()) + str(refusal.details())


async def test_what_is_missing_is_named(gatehouse: Gatehouse) -> None:
    request = wire.DeclareGatePolicyRequest(yaml=POLICY.replace("sums", "nothing"))
    assert (await gatehouse.refused("DeclareGatePolicy", request)).code() is (
        grpc.StatusCode.NOT_FOUND
    )
    undeclared = wire.StartGateRequest(workload="answer", candidate=CANDIDATE, champion=CHAMPION)
    refusal = await gatehouse.refused("StartGate", undeclared)
    assert "gyre gate declare" in (refusal.details() or "")
    await gatehouse.declared()
    for fields in ({"champion": scores_pb2.Target()}, {"candidate": scores_pb2.Target(kind="x")}):
        known: dict[str, Any] = {"candidate": CANDIDATE, "champion": CHAMPION, **fields}
        asked = wire.StartGateRequest(workload="answer", **known)
        assert (await gatehouse.refused("StartGate", asked)).code() is (
            grpc.StatusCode.INVALID_ARGUMENT
        )


async def test_the_report_holds_the_policy_the_runs_and_every_check(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided(label="<script>alert(1)</script>")
    report = json.loads(await gatehouse.report(gate.gate_id))
    assert report["policy"]["yaml"] == POLICY
    (part,) = report["parts"]
    assert [part["champion_run_id"], part["candidate_run_id"]] == list(gate.run_ids)
    page = (await gatehouse.report(gate.gate_id, html=True)).decode()
    assert "exact_match" in page
    assert "<script" not in page
    assert "src=" not in page


async def test_a_rival_sees_nothing(gatehouse: Gatehouse) -> None:
    gate = await gatehouse.decided()
    for method, request in (
        ("GetGate", wire.GetGateRequest(gate_id=gate.gate_id)),
        ("CancelGate", wire.CancelGateRequest(gate_id=gate.gate_id)),
        ("GetGatePolicy", wire.GetGatePolicyRequest(workload="answer")),
    ):
        refusal = await gatehouse.refused(method, request, "key-rival")
        assert refusal.code() is grpc.StatusCode.NOT_FOUND
    assert not (await gatehouse.call("ListGates", wire.ListGatesRequest(), "key-rival")).gates
    (listed,) = (await gatehouse.call("ListGates", wire.ListGatesRequest())).gates
    assert (listed.gate_id, len(listed.checks)) == (gate.gate_id, 0)


class SlowModels(MemoryModels):
    """Takes a while, so that a gate can be caught in the middle."""

    async def answer(self, *given: Any, **named: Any) -> Any:
        await asyncio.sleep(0.1)
        return await super().answer(*given, **named)


async def test_a_cancelled_gate_has_no_verdict_and_stops_asking(tmp_path: Path) -> None:
    async with guarded(tmp_path, SlowModels(dict(ANSWERS)), run_concurrency=1) as gatehouse:
        await gatehouse.declared()
        started = await gatehouse.started()
        await gatehouse.ended(started.gate_id, done=2)
        request = wire.CancelGateRequest(gate_id=started.gate_id)
        gate = (await gatehouse.call("CancelGate", request)).gate
        assert (gate.state, gate.verdict) == (
            wire.GATE_STATE_CANCELLED,
            wire.GATE_VERDICT_UNSPECIFIED,
        )
        run = await gatehouse.past.world.ended(gate.run_ids[0])
        assert run.state == service_pb2.RUN_STATE_CANCELLED


async def test_a_gate_whose_process_was_killed_comes_to_its_verdict_once(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_gate.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    gate_id = (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.wait()
    async with guarded(tmp_path) as gatehouse:
        gate = await gatehouse.ended(gate_id)
        said = await gatehouse.past.world.said(GateDecided)
    assert (gate.verdict, gate.examples, gate.done) == (PASS, 60, 60)
    assert [one.gate_id for one in said] == [gate_id]
