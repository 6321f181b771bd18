"""Rollouts over real gRPC, by the client and by commands; judgements over the bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from gyre.evaluation.v1.events_pb2 import AnswerEvaluated, GateApproved, GateDecided
from gyre.feedback.v1.events_pb2 import (
    FeedbackQuarantined,
    FeedbackRecorded,
    FeedbackReleased,
    FeedbackWithdrawn,
)
from gyre.inference.v1 import events_pb2, rollout_pb2
from gyre.retraining.v1.events_pb2 import ModelTrained
from gyre.retraining.v1.training_pb2 import ModelKind
from gyre_client import NotAllowedError, NotFoundError
from gyre_client.cli.app import app
from gyre_client.errors import GyreError, InvalidError
from gyre_inference.adapters.memory_rollouts import MemoryModelServer, MemoryModelShelf
from gyre_inference.adapters.tables import metadata
from gyre_inference.app import build
from gyre_inference.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from inference_world import World, until
from rollout_world import NEW
from test_doors import KEYS, Doors
from typer.testing import CliRunner

Command = Callable[..., Any]
PLAN = {"steps": [0.5], "metrics": ["feedback.helpful", "evaluation.groundedness"]}
TRAINED = "llm-gyre-reader-v7-cccccccc"
QUICK = PLAN | {"shadow_pairs": 0, "minimum": 10}


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    world = World()
    world.model.models |= {NEW, TRAINED}
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        stop_timeout=1,
        api_keys=KEYS,
        rollout_poll=0.05,
        reconcile_poll=0.05,
    )
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/inference.db", metadata)
    exchange = MemoryExchange()
    server = MemoryModelServer({"gyre-reader", NEW}, {"gyre-reader": "READY"})
    service = build(
        settings,
        search=world.search,
        vectors=world.vectors,
        model=world.model,
        server=server,
        shelf=MemoryModelShelf(server, {"acme/gyre-reader/training-7": "7"}),
        database=database,
        bus=Bus(settings, "inference", database=database, link=MemoryLink(exchange)),
    )
    await service.start()
    assert service.rpc is not None
    yield Doors(service.rpc.port, exchange)
    await service.stop()


@pytest.fixture
def command(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("GYRE_INFERENCE_ADDRESS", f"127.0.0.1:{doors.port}")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GYRE_API_KEY", "writer")

    async def invoke(*words: str) -> tuple[int, str]:
        ended = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        return ended.exit_code, ended.output

    return invoke


def judged(rollout_id: str, variant: str, user: str, good: bool) -> FeedbackRecorded:
    event = FeedbackRecorded()
    event.feedback.metric, event.feedback.feedback_id = "helpful", f"feedback-{user}"
    event.feedback.value.boolean = good
    event.answer.answer_id, event.answer.end_user = f"answer-{user}", user
    event.answer.experiment, event.answer.variant = rollout_id, variant
    return event


def say(doors: Doors, event: Message, cause: str = "one") -> None:
    """Another service says it, in the tenant of the tests."""
    doors.exchange.publish(compose(event, tenant="acme", entity_id="it", cause=cause))


def trained(kind: ModelKind, name: str = "gyre-reader") -> ModelTrained:
    event = ModelTrained()
    event.model.name, event.model.version, event.model.kind = name, 7, kind
    event.model.uri, event.model.content_hash = f"/store/acme/{name}/training-7", "c" * 64
    event.model.register_time.GetCurrentTime()
    event.training.training_id = "training-7"
    return event


async def at(doors: Doors, rollout_id: str, state: str) -> Any:
    """The rollout, as soon as it is in the state."""
    async with doors.as_("writer") as gyre, asyncio.timeout(10):
        async for known in gyre.rollouts.watch(rollout_id):
            if known["state"] == state:
                return known
    raise AssertionError(f"it ended before it was {state}")


async def test_a_model_that_people_judge_worse_is_taken_back(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        begun = await gyre.rollouts.start("model", NEW, plan=QUICK, message="try it")
        one = begun["rollout_id"]
        assert (begun["champion"], begun["author"], begun["state"]) == (
            "gyre-reader",
            "writer",
            "REQUESTED",
        )
        await at(doors, one, "CANARY")
        for n in range(120):
            arm = ("champion", "candidate")[n % 2]
            event = judged(one, arm, f"user-{n}", good=arm == "champion")
            doors.exchange.publish(compose(event, tenant="acme", entity_id=str(n), cause=str(n)))
        told = [seen async for seen in gyre.rollouts.watch(one)]
    assert told[-1]["state"] == "ROLLED_BACK"
    last = told[-1]["changes"][-1]
    metrics = {metric["metric"]: metric for metric in last["evidence"]["metrics"]}
    assert metrics["feedback.helpful"]["verdict"] == "WORSE"
    assert metrics["feedback.helpful"]["worse"] >= metrics["feedback.helpful"]["worse_needed"]
    assert metrics["evaluation.groundedness"]["verdict"] == "INSUFFICIENT"
    await until(lambda: any("model_rolled_back" in one.subject for one in doors.exchange.messages))
    events = [one for one in doors.exchange.messages if "model_rolled_back" in one.subject]
    back = events_pb2.ModelRolledBack.FromString(events[0].data)
    assert back.rollout.changes[-1].evidence.metrics


async def test_a_repeated_judgement_and_a_second_one_of_a_person_count_once(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        begun = await gyre.rollouts.start("model", NEW, plan=QUICK)
        one = begun["rollout_id"]
        await at(doors, one, "CANARY")
        event = judged(one, "candidate", "u1", good=True)
        for cause in ("a", "a", "b"):
            doors.exchange.publish(compose(event, tenant="acme", entity_id="1", cause=cause))
        scored = AnswerEvaluated(answer_id="a1", experiment=one, variant="candidate")
        scored.scores.add(metric="groundedness", score=0.5)
        scored.scores.add(metric="toxicity", score=0.5)
        scored.scores.add(metric="relevance", error="the judge did not answer")
        doors.exchange.publish(compose(scored, tenant="acme", entity_id="1", cause="c"))
        await doors.exchange.settled()
        known = await gyre.rollouts.get(one)
        say(doors, FeedbackQuarantined(feedback_id="feedback-u1", revision=1))
        await doors.exchange.settled()
        doubted = await gyre.rollouts.get(one)
        say(doors, FeedbackReleased(feedback_id="feedback-u1", revision=1, counts=True))
        await doors.exchange.settled()
        assert (await gyre.rollouts.get(one))["evidence"] == known["evidence"]
        say(doors, FeedbackWithdrawn(feedback_id="feedback-u1", revision=2))
        await doors.exchange.settled()
        assert (await gyre.rollouts.get(one))["evidence"] == doubted["evidence"]
    left = {metric["metric"]: metric for metric in doubted["evidence"]["metrics"]}
    assert "candidate_count" not in left["feedback.helpful"]
    metrics = {metric["metric"]: metric for metric in known["evidence"]["metrics"]}
    assert metrics["feedback.helpful"]["candidate_count"] == "1"
    assert metrics["evaluation.groundedness"]["candidate_mean"] == 0.5
    assert set(metrics) == {"feedback.helpful", "evaluation.groundedness", "answered"}


async def test_a_trained_model_waits_for_its_gate_and_is_shown(doors: Doors) -> None:
    say(doors, trained(ModelKind.MODEL_KIND_EMBEDDING), "an encoder")
    say(doors, trained(ModelKind.MODEL_KIND_LANGUAGE, "somebody-elses"), "not offered")
    for cause in ("one", "again"):
        say(doors, trained(ModelKind.MODEL_KIND_LANGUAGE), cause)
    await until(lambda: any("rollout_started" in one.subject for one in doors.exchange.messages))
    async with doors.as_("writer") as gyre:
        (begun,) = [one async for one in gyre.rollouts.list()]
        one = begun["rollout_id"]
        assert (begun["candidate"], begun["model"]) == (TRAINED, "gyre-reader/7")
        waits = await at(doors, one, "GATING")
        assert waits["plan"]["gated"]
        with pytest.raises(GyreError, match="GATING cannot be promoted"):
            await gyre.rollouts.promote(one)
        approved = GateApproved(gate_id="gate-1", granted=True, cause=one, principal="ada")
        say(doors, approved)
        say(doors, GateDecided(gate_id="gate-0", verdict="fail"), "a person's own gate")
        passed = GateDecided(gate_id="gate-1", verdict="pass", cause=one, needs_approval=True)
        say(doors, passed)
        shown = await at(doors, one, "SHADOW")
        assert shown["gate_id"] == "gate-1"
        assert "granted by ada" in shown["changes"][-1]["reason"]
        assert [known["rollout_id"] async for known in gyre.rollouts.list()] == [one]
    said = [one for one in doors.exchange.messages if "rollout_changed" in one.subject]
    states = [events_pb2.RolloutChanged.FromString(one.data).rollout for one in said]
    (gating,) = [one for one in states if one.state == rollout_pb2.ROLLOUT_STATE_GATING]
    assert (gating.model, gating.workload, gating.champion) == (
        "gyre-reader/7",
        "answer",
        "gyre-reader",
    )


async def test_a_gated_rollout_is_started_and_looked_at_by_commands(
    doors: Doors, command: Command
) -> None:
    options = ("--gated", "--registered", "gyre-reader/7", "--json")
    code, shown = await command("rollout", "start", "--to", NEW, *options)
    begun = json.loads(shown)
    one = begun["rollout_id"]
    assert (code, begun["plan"]["gated"], begun["model"]) == (0, True, "gyre-reader/7")
    await at(doors, one, "GATING")
    assert "gated: no verdict yet" in (await command("rollout", "show", one))[1]
    assert "waits" in (await command("rollout", "list", "--running"))[1]
    reasons = ["no policy is declared for answer: declare one"]
    say(doors, GateDecided(verdict="insufficient", cause=one, reasons=reasons))
    code, shown = await command("rollout", "watch", one)
    assert code == 1
    assert "the gate said insufficient: no policy is declared" in shown


async def test_a_person_promotes_and_takes_back_by_commands(doors: Doors, command: Command) -> None:
    options = ("--attended", "--shadow-pairs", "0", "--step", "0.2", "--json", "-m", "try")
    code, shown = await command("rollout", "start", "--to", NEW, *options)
    begun = json.loads(shown)
    one = begun["rollout_id"]
    assert (code, begun["attended"], begun["plan"]["steps"]) == (0, True, [0.2])
    await at(doors, one, "CANARY")
    assert f"{one}" in (await command("rollout", "list", "--running"))[1]
    code, shown = await command("rollout", "promote", one, "--reason", "I [looked]")
    assert code == 0
    assert "PROMOTED by writer: I [looked]" in shown
    code, shown = await command("rollout", "abort", one, "--reason", "rude")
    assert code == 0
    assert "ROLLED_BACK by writer: rude" in shown
    assert (await command("rollout", "watch", one))[0] == 1
    code, shown = await command("rollout", "show", one)
    assert "gyre-reader -> llm-new" in shown
    assert json.loads((await command("rollout", "list", "--json"))[1])[0]["rollout_id"] == one
    assert (await command("rollout", "show", "rollout-0"))[0] == 4


async def test_a_canary_is_shown_with_its_numbers(doors: Doors, command: Command) -> None:
    code, shown = await command(
        "rollout", "start", "--to", NEW, "--shadow-pairs", "0", "--attended", "--json"
    )
    one = json.loads(shown)["rollout_id"]
    await at(doors, one, "CANARY")
    code, shown = await command("rollout", "show", one)
    assert code == 0
    assert "feedback.helpful" in shown
    assert "INSUFFICIENT" in shown


async def test_only_writers_move_rollouts_and_tenants_see_their_own(doors: Doors) -> None:
    async with doors.as_("reader") as gyre:
        with pytest.raises(NotAllowedError):
            await gyre.rollouts.start("model", NEW)
    async with doors.as_("writer") as gyre:
        begun = await gyre.rollouts.start("model", NEW, plan=PLAN)
        with pytest.raises(GyreError, match="runs for"):
            await gyre.rollouts.start("model", "llm-other")
        with pytest.raises(InvalidError, match="steps"):
            await gyre.rollouts.start("model", NEW, plan={"steps": [2.0]})
        with pytest.raises(InvalidError, match="not a plan"):
            await gyre.rollouts.start("model", NEW, plan={"weights": [2.0]})
        await gyre.rollouts.abort(begun["rollout_id"])
        with pytest.raises(GyreError, match="cannot be promoted"):
            await gyre.rollouts.promote(begun["rollout_id"])
    async with doors.as_("reader") as gyre:
        assert [one["rollout_id"] async for one in gyre.rollouts.list()] == [begun["rollout_id"]]
        with pytest.raises(NotAllowedError):
            await gyre.rollouts.abort(begun["rollout_id"])
    async with doors.as_("stranger") as gyre:
        assert [one async for one in gyre.rollouts.list()] == []
        with pytest.raises(NotFoundError):
            await gyre.rollouts.get(begun["rollout_id"])
