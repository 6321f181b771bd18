"""Recorded answers as the service sees them, and the event that says their scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gyre.evaluation.v1 import scores_pb2
from gyre.evaluation.v1.events_pb2 import AnswerEvaluated
from gyre.evaluation.v1.scores_pb2 import MetricScore
from gyre.inference.v1.answer_pb2 import FinishReason
from gyre.inference.v1.events_pb2 import AnswerRecord

from gyre_evaluation.domain.live import LiveAnswer, Outcome
from gyre_evaluation.domain.metrics.metric import Score
from gyre_evaluation.wire.alerts import stamp

_LEFT = ("CANCELLED",)


def live_answer(record: AnswerRecord, tenant: str, status: str = "") -> LiveAnswer:
    """status: why there was no answer; empty where there was one. tenant: of the envelope."""
    return LiveAnswer(
        answer_id=record.answer_id,
        tenant=tenant,
        principal=record.principal,
        time=record.request_time.ToDatetime(UTC),
        question=_question(record),
        completion=record.completion,
        outcome=_outcome(record, status),
        end_user=record.end_user,
        workload=record.workload,
        collection=record.collection,
        language=record.metadata.get("language", ""),
        instructions="\n".join(one.content for one in record.messages if one.role == "system"),
        passages=tuple(_passages(record)),
        chunk_ids=tuple(one.chunk_id for one in record.retrieved_chunks),
        citations=tuple((one.number, one.sentence) for one in record.citations),
        retrieval_score=record.retrieved_chunks[0].score if record.retrieved_chunks else None,
        output_tokens=record.usage.output_tokens,
        seconds=record.timings.total.ToTimedelta().total_seconds(),
        prompt_name=record.prompt_name,
        prompt_version=record.prompt_version,
        model=record.model,
        model_version=record.model_version,
        variant=record.variant,
        experiment=record.experiment,
        labels=dict(record.metadata),
    )


def answer_evaluated(
    answer: LiveAnswer, language: str, scores: Sequence[Score], share: float, time: datetime
) -> AnswerEvaluated:
    return AnswerEvaluated(
        answer_id=answer.answer_id,
        scores=map(metric_score, scores),
        prompt_name=answer.prompt_name,
        prompt_version=answer.prompt_version,
        model=answer.model,
        model_version=answer.model_version,
        variant=answer.variant,
        experiment=answer.experiment,
        collection=answer.collection,
        workload=answer.workload,
        language=language,
        evaluate_time=stamp(time),
        sampling_rate=share,
    )


def metric_score(score: Score) -> MetricScore:
    return MetricScore(
        metric=score.metric,
        score=score.value,
        source=scores_pb2.ScoreSource.Value(f"SCORE_SOURCE_{score.source.upper()}"),
        judge_model=score.judge_model,
        rubric_version=score.rubric,
        explanation=score.explanation,
        error=score.error,
        confidence=score.confidence,
    )


def _outcome(record: AnswerRecord, status: str) -> Outcome:
    if status:
        return Outcome.LEFT if status in _LEFT else Outcome.FAILED
    refused = record.finish_reason == FinishReason.FINISH_REASON_REFUSED
    return Outcome.REFUSED if refused else Outcome.ANSWERED


def _question(record: AnswerRecord) -> str:
    """Records made before they said it have it among the prompt's arguments."""
    if record.question:
        return record.question
    if told := record.prompt_arguments.get("question"):
        return str(json.loads(told))
    asked = [one.content for one in record.messages if one.role == "user"]
    return asked[-1] if asked else ""


def _passages(record: AnswerRecord) -> Iterable[str]:
    """What the prompt was given: texts, or objects that hold one."""
    for name in ("passages", "sentences"):
        given = json.loads(record.prompt_arguments.get(name, "[]"))
        for one in given if isinstance(given, list) else []:
            text = one if isinstance(one, str) else one.get("text", "")
            if text:
                yield str(text)
