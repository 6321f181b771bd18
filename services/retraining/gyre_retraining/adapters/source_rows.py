"""Sources as rows and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gyre_retraining.domain.erasure import user_key
from gyre_retraining.domain.sources import (
    ChunkText,
    Judgement,
    Level,
    Message,
    Passage,
    RecordedAnswer,
    Review,
    State,
    StateChange,
)

Row = dict[str, Any]


def answer_row(tenant: str, answer: RecordedAnswer, known_time: float) -> Row:
    return {
        "tenant": tenant,
        "answer_id": answer.answer_id,
        "user_key": user_key(tenant, answer.end_user) if answer.end_user else "",
        "time": answer.time,
        "erased": answer.erased,
        "known_time": known_time,
        "body": asdict(answer),
    }


def shown_rows(tenant: str, answer: RecordedAnswer) -> list[Row]:
    lowest: dict[str, int] = {}
    for one in answer.passages:
        if one.document_id:
            lowest[one.document_id] = min(one.revision, lowest.get(one.document_id, one.revision))
    names = {"tenant": tenant, "answer_id": answer.answer_id}
    return [{**names, "document_id": name, "revision": lowest[name]} for name in sorted(lowest)]


def judgement_row(tenant: str, judgement: Judgement, known_time: float) -> Row:
    return {
        "tenant": tenant,
        "principal": judgement.principal,
        "feedback_id": judgement.feedback_id,
        "revision": judgement.revision,
        "answer_id": judgement.answer_id,
        "metric": judgement.metric,
        "rater_key": user_key(tenant, judgement.rater) if judgement.rater else "",
        "time": judgement.time,
        "known_time": known_time,
        "body": asdict(judgement),
    }


def state_row(tenant: str, change: StateChange, known_time: float) -> Row:
    return {"tenant": tenant, **asdict(change), "known_time": known_time}


def review_row(tenant: str, review: Review, known_time: float) -> Row:
    return {
        "tenant": tenant,
        "item_id": review.item_id,
        "reviewer": review.reviewer,
        "place": round(review.time * 1e6),
        "answer_id": review.answer_id,
        "known_time": known_time,
        "body": asdict(review),
    }


def chunk_row(tenant: str, chunk: ChunkText, known_time: float) -> Row:
    return {
        "tenant": tenant,
        "chunk_id": chunk.chunk_id,
        "document_id": chunk.document_id,
        "revision": chunk.revision,
        "known_time": known_time,
        "body": asdict(chunk),
    }


def answer_of(body: Mapping[str, Any]) -> RecordedAnswer:
    messages = tuple(Message(**one) for one in body["messages"])
    passages = tuple(Passage(**one) for one in body["passages"])
    return RecordedAnswer(**{**body, "messages": messages, "passages": passages})


def judgement_of(body: Mapping[str, Any]) -> Judgement:
    return Judgement(**{**body, "level": Level(body["level"]), "state": State(body["state"])})


def change_of(row: Any) -> StateChange:
    return StateChange(row.principal, row.feedback_id, row.revision, State(row.state))


def review_of(body: Mapping[str, Any]) -> Review:
    return Review(**body)


def chunk_of(body: Mapping[str, Any]) -> ChunkText:
    return ChunkText(**body)
