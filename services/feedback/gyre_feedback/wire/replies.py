"""What the service answers with."""

from __future__ import annotations

import json

from gyre.feedback.v1 import service_pb2 as wire

from gyre_feedback.domain.errors import Invalid
from gyre_feedback.domain.judgements import Kept
from gyre_feedback.domain.reviews import RUBRIC, Agreement, Item, ReviewReason
from gyre_feedback.domain.scores import Entity, EntityKind, Score
from gyre_feedback.ports import FeatureQuery, FeatureRow
from gyre_feedback.wire.answers import answer_to
from gyre_feedback.wire.judgements import judgement_to, state_code
from gyre_feedback.wire.times import stamp

_KINDS = {wire.EntityKind.Value(f"ENTITY_KIND_{one.name}"): one for one in EntityKind}
_REASONS = {wire.ReviewReason.Value(f"REVIEW_REASON_{one.name}"): one for one in ReviewReason}
_KIND_CODES = {noun: code for code, noun in _KINDS.items()}
_REASON_CODES = {noun: code for code, noun in _REASONS.items()}
_RUBRIC = json.dumps(
    [{"name": one.name, "text": one.text, "choices": one.choices} for one in RUBRIC]
)


def kind_from(code: wire.EntityKind.ValueType) -> EntityKind:
    """Raises `Invalid`."""
    if code and code not in _KINDS:
        raise Invalid({"kind": "is not a kind that this service knows"})
    return _KINDS.get(code, EntityKind.PROMPT)


def reason_from(code: wire.ReviewReason.ValueType) -> ReviewReason | None:
    """None for UNSPECIFIED. Raises `Invalid`."""
    if code and code not in _REASONS:
        raise Invalid({"reason": "is not a reason that this service knows"})
    return _REASONS.get(code)


def kept_to(kept: Kept) -> wire.KeptFeedback:
    answer = kept.answer
    chunk = kept.judgement.target.chunk_id
    return wire.KeptFeedback(
        feedback=judgement_to(kept.judgement),
        state=state_code(kept.state),
        principal=kept.principal,
        receive_time=stamp(kept.receive_time),
        answer=None if answer is None else answer_to(answer, only_chunk=chunk),
        reason=kept.reason,
        detail=kept.detail,
    )


def score_to(entity: Entity, score: Score, cap: float) -> wire.Score:
    return wire.Score(
        kind=_KIND_CODES[entity.kind],
        entity_id=entity.entity_id,
        metric=entity.metric,
        score=score.score,
        mean=score.mean,
        judgements=score.judgements,
        accounts=score.accounts,
        young_accounts=score.young_accounts,
        cap=cap,
    )


def features_to(query: FeatureQuery, row: FeatureRow | None) -> wire.FeatureValues:
    return wire.FeatureValues(
        entity_id=query.entity.entity_id,
        metric=query.entity.metric,
        values=row.values if row else {},
        event_time=stamp(row.event_time) if row else None,
    )


def item_to(item: Item) -> wire.ReviewItem:
    return wire.ReviewItem(
        item_id=item.item_id,
        answer_id=item.answer_id,
        reasons=[_REASON_CODES[one] for one in item.reasons],
        question=item.question,
        answer=item.text,
        about=answer_to(item.about),
        rubric=_RUBRIC,
        wanted_reviews=item.wanted,
        review_count=item.review_count,
        add_time=stamp(item.add_time),
        priority=item.priority,
    )


def agreement_to(agreement: Agreement) -> wire.Agreement:
    return wire.Agreement(
        question=agreement.question,
        krippendorff_alpha=agreement.alpha,
        item_count=agreement.items,
        reviewer_count=agreement.reviewers,
    )
