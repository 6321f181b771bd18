"""Recorded answers as they are kept to become examples."""

from __future__ import annotations

from datetime import UTC

from gyre.inference.v1.answer_pb2 import FinishReason
from gyre.inference.v1.events_pb2 import AnswerRecord

from gyre_evaluation.domain.recorded import RecordedAnswer

SOURCE, EVALUATION = "gyre.source", "evaluation"
"""Label of answers that a run asked for."""


def recorded_answer(record: AnswerRecord, question: str) -> RecordedAnswer:
    return RecordedAnswer(
        answer_id=record.answer_id,
        time=record.request_time.ToDatetime(UTC),
        question=question[:4096],
        completion=record.completion,
        refused=record.finish_reason == FinishReason.FINISH_REASON_REFUSED,
        collection=record.collection,
        prompt_name=record.prompt_name,
        prompt_version=record.prompt_version,
        model=record.model,
        language=record.metadata.get("language", ""),
        workload=record.workload,
        conversation_id=record.conversation_id,
        chunk_ids=tuple(one.chunk_id for one in record.retrieved_chunks),
    )
