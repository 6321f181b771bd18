"""People's judgements as the live windows see them."""

from __future__ import annotations

from datetime import UTC

from gyre.feedback.v1.events_pb2 import FeedbackRecorded
from gyre.feedback.v1.feedback_pb2 import FeedbackValue

from gyre_evaluation.domain.windows import Traits, versioned
from gyre_evaluation.ports import JudgementPlace
from gyre_evaluation.use_cases.judgements import PREFIX


def score_of(value: FeedbackValue) -> float | None:
    """None for texts, errors and categories, whose order only feedback knows."""
    match value.WhichOneof("value"):
        case "boolean":
            return float(value.boolean)
        case "number":
            return value.number
        case _:
            return None


def place_of(event: FeedbackRecorded, tenant: str) -> JudgementPlace:
    """An id is unique within its caller alone."""
    answer = event.answer
    slices = {
        "collection": answer.collection,
        "language": answer.language,
        "segment": answer.segment,
    }
    return JudgementPlace(
        tenant=tenant,
        feedback_id=f"{event.principal}/{event.feedback.feedback_id}",
        metric=PREFIX + event.feedback.metric,
        answer_id=answer.answer_id,
        time=answer.request_time.ToDatetime(UTC),
        traits=Traits(
            prompt=versioned(answer.prompt_name, answer.prompt_version),
            model=versioned(answer.model, answer.model_version[:12]),
            variant=versioned(answer.experiment, answer.variant),
            slices={key: value for key, value in slices.items() if value},
        ),
    )
