"""Trainings as messages, and what is said of them."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.retraining.v1 import events_pb2, service_pb2, training_pb2

from gyre_retraining.domain.models import ModelVersion
from gyre_retraining.domain.trainings import Plan, Training
from gyre_retraining.ports import News
from gyre_retraining.wire.models import model_to


def training_to(training: Training) -> training_pb2.Training:
    kinds, states = training_pb2.ModelKind, training_pb2.TrainingState
    return training_pb2.Training(
        training_id=training.training_id,
        recipe=training.plan.name,
        recipe_hash=training.plan.hash,
        kind=kinds.Value(f"MODEL_KIND_{training.plan.kind.upper()}"),
        trigger=trigger_to(training),
        state=states.Value(f"TRAINING_STATE_{training.state.upper()}"),
        reason=training.reason,
        detail=training.detail,
        dataset_id=training.dataset_id,
        base_model=training.base_model,
        model=training.model,
        step=training.progress.step,
        steps=training.progress.steps,
        loss=training.progress.loss,
        metrics=dict(training.progress.metrics),
        attempts=training.attempts,
        peak_memory_bytes=training.peak_memory_bytes,
        request_time=time_to(training.request_time),
        start_time=time_to(training.start_time) if training.start_time else None,
        end_time=time_to(training.end_time) if training.end_time else None,
        tracking_run_id=training.tracking_run_id,
    )


def trigger_to(training: Training) -> training_pb2.Trigger:
    trigger = training.trigger
    return training_pb2.Trigger(
        kind=training_pb2.TriggerKind.Value(f"TRIGGER_KIND_{trigger.kind.upper()}"),
        cause=trigger.cause,
        reason=trigger.reason,
        by=trigger.by,
    )


def recipe_to(plan: Plan) -> service_pb2.Recipe:
    return service_pb2.Recipe(
        name=plan.name,
        description=plan.description,
        kind=training_pb2.ModelKind.Value(f"MODEL_KIND_{plan.kind.upper()}"),
        form=plan.form,
        method=plan.method,
        yaml=plan.yaml,
    )


def requested(training: Training) -> Message:
    return events_pb2.TrainingRequested(training=training_to(training))


def said_of(
    training: Training, news: News, model: ModelVersion | None, now: datetime
) -> tuple[Message, str]:
    """The event, and what makes its id beside the training: the same step is said once."""
    if news is News.STARTED:
        started = events_pb2.TrainingStarted(training=training_to(training))
        return started, f"started/{training.attempts}"
    if news is News.PROGRESSED:
        return _progressed(training, now), f"step/{training.attempts}/{training.progress.step}"
    if news is News.TRAINED:
        if model is None:
            raise ValueError("what was trained is missing")
        trained = events_pb2.ModelTrained(model=model_to(model), training=training_to(training))
        return trained, "trained"
    return events_pb2.TrainingFailed(training=training_to(training)), "failed"


def _progressed(training: Training, now: datetime) -> events_pb2.TrainingProgressed:
    progress = training.progress
    return events_pb2.TrainingProgressed(
        training_id=training.training_id,
        step=progress.step,
        steps=progress.steps,
        loss=progress.loss,
        metrics=dict(progress.metrics),
        time=time_to(now),
    )


def time_to(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
