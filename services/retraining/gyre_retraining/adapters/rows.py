"""Rows of trainings and decisions from nouns of the domain, and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gyre_retraining.domain.trainings import (
    Progress,
    Training,
    TrainingState,
    Trigger,
    TriggerKind,
    plan_from,
)
from gyre_retraining.domain.triggers import Decision, Verdict, Wish


def training_row(training: Training) -> dict[str, Any]:
    """A new one; nobody works on it."""
    return {
        "training_id": training.training_id,
        "tenant": training.tenant,
        "recipe": training.plan.name,
        "plan": training.plan.as_json(),
        "trigger": asdict(training.trigger),
        "request_time": training.request_time.timestamp(),
        "reason": "",
        "detail": "",
        "cancelling": False,
        "owner": "",
        "lease_until": 0.0,
        **changing(training),
    }


def changing(training: Training) -> dict[str, Any]:
    """What its worker writes. The detail only at the end: whoever cancels writes it before."""
    ended = {"reason": training.reason, "detail": training.detail}
    return {
        **(ended if training.state.ended else {}),
        "state": training.state.value,
        "dataset_id": training.dataset_id,
        "base_model": training.base_model,
        "model": training.model,
        "progress": asdict(training.progress),
        "attempts": training.attempts,
        "peak_memory_bytes": training.peak_memory_bytes,
        "seconds": training.seconds,
        "tracking_run_id": training.tracking_run_id,
        "start_time": training.start_time and training.start_time.timestamp(),
        "end_time": training.end_time and training.end_time.timestamp(),
    }


def training_from(row: sa.Row[Any]) -> Training:
    return Training(
        training_id=row.training_id,
        tenant=row.tenant,
        plan=plan_from(row.plan),
        trigger=Trigger(**{**row.trigger, "kind": TriggerKind(row.trigger["kind"])}),
        request_time=_moment(row.request_time),
        state=TrainingState(row.state),
        reason=row.reason,
        detail=row.detail,
        dataset_id=row.dataset_id,
        base_model=row.base_model,
        model=row.model,
        progress=Progress(**row.progress),
        attempts=row.attempts,
        peak_memory_bytes=row.peak_memory_bytes,
        seconds=row.seconds,
        start_time=None if row.start_time is None else _moment(row.start_time),
        end_time=None if row.end_time is None else _moment(row.end_time),
        tracking_run_id=row.tracking_run_id,
        cancelling=bool(row.cancelling),
    )


def decided(wish: Wish, verdict: Verdict, now: datetime) -> Decision:
    training = wish.training
    return Decision(
        tenant=training.tenant,
        recipe=training.plan.name,
        kind=training.trigger.kind,
        cause=training.trigger.cause,
        by=training.trigger.by,
        verdict=verdict,
        training_id=training.training_id if verdict.accepted else "",
        watermark=wish.watermark,
        time=now,
    )


def decision_row(decision: Decision) -> dict[str, Any]:
    return {
        "tenant": decision.tenant,
        "recipe": decision.recipe,
        "cause": decision.cause,
        "kind": decision.kind.value,
        "decided_for": decision.by,
        "accepted": decision.verdict.accepted,
        "reason": decision.verdict.reason,
        "detail": decision.verdict.detail,
        "training_id": decision.training_id,
        "watermark": decision.watermark,
        "time": decision.time.timestamp(),
    }


def decision_from(row: sa.Row[Any], *, repeated: bool = False) -> Decision:
    return Decision(
        tenant=row.tenant,
        recipe=row.recipe,
        kind=TriggerKind(row.kind),
        cause=row.cause,
        by=row.decided_for,
        verdict=Verdict(bool(row.accepted), row.reason, row.detail),
        training_id=row.training_id,
        watermark=row.watermark,
        time=_moment(row.time),
        repeated=repeated,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
