"""Review items as records: our own JSON lines, and tasks of Label Studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gyre_feedback.domain.answers import JudgedAnswer
from gyre_feedback.domain.errors import Invalid
from gyre_feedback.domain.reviews import PRIORITY, RUBRIC, Item, Review, ReviewReason

Record = dict[str, Any]
_ABOUT = ("prompt_name", "prompt_version", "model", "model_version", "collection", "language")
_TEXTS = ("correction", "comment")


class Format(StrEnum):
    """How reviews are written down."""

    JSONL = "jsonl"
    LABEL_STUDIO = "label_studio"


def written(item: Item, reviews: Sequence[Review], kind: Format) -> Record:
    """One record of an item and its reviews."""
    if kind is Format.LABEL_STUDIO:
        return {
            "data": _data(item),
            "annotations": [_annotation(review) for review in reviews],
            "predictions": [],
        }
    return {**_data(item), "reviews": [_plain(review) for review in reviews]}


def read(
    record: Mapping[str, Any], kind: Format, *, wanted: int, now: datetime
) -> tuple[Item, list[Review]]:
    """Raises `Invalid`. What Label Studio adds beside ours is ignored."""
    data = record.get("data") if kind is Format.LABEL_STUDIO else record
    if not isinstance(data, Mapping) or not isinstance(data.get("answer_id"), str):
        raise Invalid({"record": "needs an answer_id (in `data` for Label Studio)"})
    item = _item(data, wanted, now)
    named = "annotations" if kind is Format.LABEL_STUDIO else "reviews"
    given = record.get(named) or ()
    parse = _of_annotation if kind is Format.LABEL_STUDIO else _of_plain
    try:
        return item, [parse(item.item_id, one) for one in given]
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid({named: f"cannot be read: {error!r:.100}"}) from error


def label_studio_configuration() -> str:
    """The labelling interface to paste into a project of Label Studio."""
    questions = "\n".join(
        f'  <Header value="{one.text}"/>\n'
        f'  <Choices name="{one.name}" toName="answer" choice="single">\n'
        + "\n".join(f'    <Choice value="{choice}"/>' for choice in one.choices)
        + "\n  </Choices>"
        for one in RUBRIC
    )
    texts = "\n".join(
        f'  <Header value="{name.capitalize()}"/>\n'
        f'  <TextArea name="{name}" toName="answer" maxSubmissions="1"/>'
        for name in _TEXTS
    )
    shown = '  <Text name="question" value="$question"/>\n  <Text name="answer" value="$answer"/>'
    return f"<View>\n{shown}\n{questions}\n{texts}\n</View>\n"


def _data(item: Item) -> Record:
    about = {name: getattr(item.about, name) for name in _ABOUT}
    return {
        "answer_id": item.answer_id,
        "question": item.question,
        "answer": item.text,
        "reasons": [str(one) for one in item.reasons],
        "chunk_ids": list(item.about.chunks),
        "document_ids": list(item.about.chunks.values()),
        **about,
    }


def _plain(review: Review) -> Record:
    return {
        "reviewer": review.reviewer,
        "declined": review.declined,
        "labels": dict(review.labels),
        "correction": review.correction,
        "comment": review.comment,
        "complete_time": review.complete_time.isoformat() if review.complete_time else "",
    }


def _annotation(review: Review) -> Record:
    chosen = [
        {"from_name": name, "to_name": "answer", "type": "choices", "value": {"choices": [choice]}}
        for name, choice in review.labels.items()
    ]
    texts = {"correction": review.correction, "comment": review.comment}
    said = [
        {"from_name": name, "to_name": "answer", "type": "textarea", "value": {"text": [text]}}
        for name, text in texts.items()
        if text
    ]
    return {
        "completed_by": {"email": review.reviewer},
        "was_cancelled": review.declined,
        "result": [*chosen, *said],
        "created_at": review.complete_time.isoformat() if review.complete_time else "",
    }


def _item(data: Mapping[str, Any], wanted: int, now: datetime) -> Item:
    chunks = zip(data.get("chunk_ids") or (), data.get("document_ids") or (), strict=False)
    said: dict[str, Any] = {name: str(data.get(name) or "") for name in _ABOUT}
    about = JudgedAnswer(
        answer_id=str(data["answer_id"]),
        chunks={str(chunk): str(document) for chunk, document in chunks},
        **said,
    )
    reason = ReviewReason.IMPORTED
    texts = str(data.get("question") or ""), str(data.get("answer") or "")
    return Item(
        about.answer_id, about.answer_id, (reason,), *texts, about, wanted, 0, now, PRIORITY[reason]
    )


def _of_plain(item_id: str, given: Mapping[str, Any]) -> Review:
    return Review(
        item_id,
        str(given["reviewer"]),
        bool(given.get("declined")),
        {str(name): str(choice) for name, choice in (given.get("labels") or {}).items()},
        str(given.get("correction") or ""),
        str(given.get("comment") or ""),
        _time(given.get("complete_time")),
    )


def _of_annotation(item_id: str, given: Mapping[str, Any]) -> Review:
    labels: dict[str, str] = {}
    texts = dict.fromkeys(_TEXTS, "")
    for one in given["result"]:
        name, value = str(one["from_name"]), one["value"]
        if one["type"] == "choices":
            labels[name] = str(value["choices"][0])
        elif name in texts:
            texts[name] = "\n".join(map(str, value["text"]))
    declined = bool(given.get("was_cancelled"))
    return Review(
        item_id,
        _completed_by(given.get("completed_by")),
        declined,
        {} if declined else labels,
        **texts,
        complete_time=_time(given.get("created_at")),
    )


def _completed_by(who: Any) -> str:
    """Label Studio writes a number, or an object with the person's address."""
    if isinstance(who, Mapping):
        return str(who.get("email") or who.get("id") or "unknown")
    return f"label-studio:{int(who)}" if isinstance(who, int | float) else str(who or "unknown")


def _time(text: Any) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
