"""Both doors of the whole service: judgements come in by the bus, a model is registered."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from gyre.evaluation.v1.events_pb2 import DriftDetected, DriftFinding
from gyre.feedback.v1.events_pb2 import FeedbackWithdrawn
from gyre.retraining.v1 import service_pb2 as wire
from gyre.retraining.v1 import training_pb2 as pb
from gyre.retraining.v1.events_pb2 import ModelTrained, TrainingFailed, TrainingRequested
from gyre_retraining.adapters.trainings import DatabaseTrainings

sys.path.append(str(Path(__file__).parent))
from service_world import World, running


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[World]:
    """Its job takes a while."""
    async with running(tmp_path, pause=0.3) as made:
        yield made


def running_well(training: Any) -> bool:
    return bool(training.state == pb.TRAINING_STATE_RUNNING and training.step)


async def test_judgements_become_a_model_without_a_person(world: World) -> None:
    await world.judged(40)
    (said,) = await world.said(TrainingRequested)
    assert said.training.trigger.kind == pb.TRIGGER_KIND_JUDGEMENTS
    done = await world.watched(said.training.training_id)
    assert (done.state, done.model) == (pb.TRAINING_STATE_SUCCEEDED, "tiny/2"), done.detail
    assert (done.step, done.steps, done.attempts) == (8, 8, 1)
    (trained,) = await world.said(ModelTrained)
    assert (trained.model.name, trained.model.version) == ("tiny", 2)
    assert trained.model.dataset_id == done.dataset_id
    assert len(trained.model.content_hash) == 64


async def test_what_was_trained_can_be_looked_at_from_every_side(world: World) -> None:
    await world.judged(24)
    done = await world.watched((await world.start(reason="to see")).training_id)
    request = wire.GetTrainingDatasetRequest(dataset_id=done.dataset_id)
    dataset = (await world.call("GetTrainingDataset", request)).dataset
    assert dataset.form == "thumbs"
    assert sum(dataset.rows.values()) == 24
    assert (Path(dataset.uri) / "manifest.json").exists()
    model = await world.call("GetModel", wire.GetModelRequest(name="tiny", version="candidate"))
    assert model.model.training_id == done.training_id
    assert "tiny-kto" in model.model.card
    assert {one.path for one in model.model.files} >= {"model.safetensors"}
    listed = (await world.call("ListModels", wire.ListModelsRequest())).models
    assert [(one.version, list(one.aliases)) for one in listed] == [
        (2, ["candidate"]),
        (1, ["champion"]),
    ]
    back = wire.GetLineageRequest(kind="model", id=done.model)
    kinds = {one.kind for one in (await world.call("GetLineage", back)).nodes}
    assert {"model", "training", "dataset", "judgement", "answer"} <= kinds
    forward = wire.GetLineageRequest(
        kind="user", id="user-3", direction=wire.LINEAGE_DIRECTION_FORWARD
    )
    found = (await world.call("GetLineage", forward)).nodes
    assert ("model", "tiny/2") in {(one.kind, one.id) for one in found}


async def test_the_same_judgements_heard_again_train_nothing_more(world: World) -> None:
    await world.judged(40)
    (said,) = await world.said(TrainingRequested)
    await world.watched(said.training.training_id)
    await world.judged(40)
    await world.watched((await world.start()).training_id)
    listed = await world.call("ListTrainings", wire.ListTrainingsRequest())
    kinds = [one.trigger.kind for one in listed.trainings]
    assert kinds == [pb.TRIGGER_KIND_PERSON, pb.TRIGGER_KIND_JUDGEMENTS]


async def test_a_drift_wants_a_training_once(world: World) -> None:
    finding = DriftFinding(feature="question_words")
    drift = DriftDetected(drift_id="d-1", scope="collection=help", findings=[finding])
    for time in ("first", "again"):
        world.say(drift, time)
    await world.exchange.settled()
    (said,) = await world.said(TrainingRequested)
    assert said.training.trigger.kind == pb.TRIGGER_KIND_DRIFT
    assert "question_words" in said.training.trigger.reason
    failed = await world.watched(said.training.training_id)
    assert failed.reason == "too_few_rows"
    (ended,) = await world.said(TrainingFailed)
    assert ended.training.training_id == said.training.training_id
    decisions = await DatabaseTrainings(world.database).decisions("acme", limit=10)
    assert [(one.cause, one.verdict.reason) for one in decisions] == [("drift/d-1", "accepted")]


async def test_a_judgement_that_was_withdrawn_is_not_learnt_from(world: World) -> None:
    await world.judged(24)
    for number in range(4):
        gone = FeedbackWithdrawn(
            feedback_id=f"f-{number}", revision=2, principal="shop", answer_id=f"a-{number}"
        )
        world.say(gone, f"gone-{number}")
    await world.exchange.settled()
    done = await world.watched((await world.start()).training_id)
    request = wire.GetTrainingDatasetRequest(dataset_id=done.dataset_id)
    dataset = (await world.call("GetTrainingDataset", request)).dataset
    assert sum(dataset.rows.values()) == 20
    assert {one.filter: one.rows for one in dataset.filters}["withdrawn"] == 4


async def test_a_running_training_is_watched_and_cancelled(slow: World) -> None:
    await slow.judged(24)
    training = await slow.start()
    seen = await slow.watched(training.training_id, running_well)
    assert seen.steps == 8
    request = wire.CancelTrainingRequest(training_id=training.training_id, reason="not now")
    await slow.call("CancelTraining", request)
    done = await slow.watched(training.training_id)
    assert done.state == pb.TRAINING_STATE_CANCELLED
    assert done.detail == "cancelled by ada: not now"
    assert done.step < 8
    again = (await slow.call("CancelTraining", request)).training
    assert again == done


async def test_a_dataset_is_used_again_where_it_is_named(world: World) -> None:
    await world.judged(24)
    first = await world.watched((await world.start()).training_id)
    again = await world.start(request_id="r-2", dataset_id=first.dataset_id)
    second = await world.watched(again.training_id)
    assert (second.dataset_id, second.model) == (first.dataset_id, "tiny/3")
    assert second.base_model == "tiny/1"  # the champion, not the newest


async def test_overrides_change_the_recipe_and_its_hash(world: World) -> None:
    await world.judged(24)
    first = await world.start()
    changed = await world.start(request_id="r-2", overrides={"training.max_steps": "3"})
    assert changed.recipe_hash != first.recipe_hash
    assert (await world.watched(changed.training_id)).steps == 3


async def test_recipes_are_listed_with_what_they_hold(world: World) -> None:
    recipes = (await world.call("ListRecipes", wire.ListRecipesRequest())).recipes
    names = [one.name for one in recipes]
    assert names == sorted(names)
    tiny = next(one for one in recipes if one.name == "tiny-kto")
    assert (tiny.form, tiny.method, tiny.kind) == ("thumbs", "kto", pb.MODEL_KIND_LANGUAGE)
    assert "max_steps: 8" in tiny.yaml


async def test_trainings_come_in_pages(world: World) -> None:
    made = [(await world.start(request_id=f"r-{n}")).training_id for n in range(5)]
    seen, token = [], ""
    while True:
        request = wire.ListTrainingsRequest(page_size=2, page_token=token)
        reply = await world.call("ListTrainings", request)
        seen += [one.training_id for one in reply.trainings]
        token = reply.next_page_token
        if not token:
            break
    assert seen == made[::-1]


async def test_the_same_request_id_is_the_same_training(world: World) -> None:
    assert (await world.start()).training_id == (await world.start()).training_id
    assert (await world.start(request_id="")).training_id != (await world.start()).training_id


async def test_a_budget_that_is_used_up_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, policy={"trainings_per_day": 1}) as world:
        await world.start()
        request = wire.StartTrainingRequest(recipe="tiny-kto", request_id="r-2")
        refusal = await world.refused("StartTraining", request)
    assert refusal.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "1 trainings a day" in refusal.details()


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetTraining", wire.GetTrainingRequest(training_id="t-9")),
        ("CancelTraining", wire.CancelTrainingRequest(training_id="t-9")),
        ("StartTraining", wire.StartTrainingRequest(recipe="huge")),
        ("StartTraining", wire.StartTrainingRequest(recipe="tiny-kto", dataset_id="d-9")),
        ("GetTrainingDataset", wire.GetTrainingDatasetRequest(dataset_id="d-9")),
        ("GetModel", wire.GetModelRequest(name="huge")),
        ("GetLineage", wire.GetLineageRequest(kind="answer", id="a-9")),
    ],
)
async def test_what_is_not_there_is_not_found(world: World, method: str, request_: Any) -> None:
    assert (await world.refused(method, request_)).code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("StartTraining", wire.StartTrainingRequest(recipe="tiny-kto", overrides={"speed": "1"})),
        ("StartTraining", wire.StartTrainingRequest(recipe="tiny-kto", request_id="x" * 129)),
        ("ListTrainings", wire.ListTrainingsRequest(page_size=501)),
        ("GetLineage", wire.GetLineageRequest(kind="cloud", id="c-1")),
        ("GetLineage", wire.GetLineageRequest(kind="answer", id="a-1", limit=10_001)),
    ],
)
async def test_what_cannot_be_asked_says_what_to_change(
    world: World, method: str, request_: Any
) -> None:
    refusal = await world.refused(method, request_)
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.trailing_metadata()


async def test_a_reader_starts_and_cancels_nothing(world: World) -> None:
    training = await world.start()
    for method, request in (
        ("StartTraining", wire.StartTrainingRequest(recipe="tiny-kto")),
        ("CancelTraining", wire.CancelTrainingRequest(training_id=training.training_id)),
    ):
        refusal = await world.refused(method, request, "key-reader")
        assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED
    request = wire.GetTrainingRequest(training_id=training.training_id)
    assert (await world.call("GetTraining", request, "key-reader")).training.training_id


async def test_another_tenant_sees_nothing(world: World) -> None:
    await world.judged(24)
    done = await world.watched((await world.start()).training_id)
    for method, request in (
        ("GetTraining", wire.GetTrainingRequest(training_id=done.training_id)),
        ("GetTrainingDataset", wire.GetTrainingDatasetRequest(dataset_id=done.dataset_id)),
        ("GetModel", wire.GetModelRequest(name="tiny")),
        ("GetLineage", wire.GetLineageRequest(kind="model", id=done.model)),
    ):
        refusal = await world.refused(method, request, "key-rival")
        assert refusal.code() is grpc.StatusCode.NOT_FOUND
    listed = await world.call("ListTrainings", wire.ListTrainingsRequest(), "key-rival")
    assert not listed.trainings
    models = await world.call("ListModels", wire.ListModelsRequest(), "key-rival")
    assert not models.models
