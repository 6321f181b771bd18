"""Recorded answers as they are kept to become examples."""

from __future__ import annotations

from datetime import UTC

from gyre.inference.v1.answer_pb2 import FinishReason
from gyre.inference.v1.events_pb2 import AnswerRecord

from gyre_evaluation.domain.metrics.case import Cited
from gyre_evaluation.domain.recorded import RecordedAnswer

SOURCE, EVALUATION = "gyre.source", "evaluation"
"""Label of answers that a run asked for."""
REPLAY = "gyre.replay"
"""Label with the id of the replay that asked."""


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
        arguments=dict(record.prompt_arguments),
        messages=_messages(record),
        citations=tuple(Cited(one.number, one.sentence) for one in record.citations),
        seconds=record.timings.total.ToTimedelta().total_seconds(),
        input_tokens=record.usage.input_tokens,
        output_tokens=record.usage.output_tokens,
    )


def _messages(record: AnswerRecord) -> tuple[tuple[str, str], ...]:
    """Of plain chat alone: others are rendered anew."""
    if record.prompt_name or record.prompt_arguments:
        return ()
    return tuple((one.role, one.content) for one in record.messages)
