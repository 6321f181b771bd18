"""What steps make, as plain data and back: a run that was interrupted goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import singledispatch
from typing import Any

from gyre_inference.domain.citations import Citation
from gyre_inference.domain.generation import FinishReason
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.passages import Found, Passage, SearchFilter, Sentence

_MADE = "made"


@dataclass(frozen=True)
class Written:
    """A text that a model made."""

    text: str
    citations: tuple[Citation, ...] = ()
    finish: FinishReason = FinishReason.STOP

    def __str__(self) -> str:
        return self.text


@singledispatch
def plain(value: object) -> Any:
    """JSON types. What it was made of is told by `made`, so that `value_of` finds back."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@plain.register
def _(value: Found) -> Any:
    hits = [asdict(one) for one in value.passages]
    return {_MADE: "found", "index_version": value.index_version, "passages": hits}


@plain.register
def _(value: Grounds) -> Any:
    return {
        _MADE: "grounds",
        "sentences": [plain(one) for one in value.sentences],
        "supported": value.supported,
        "language": value.language,
        "verdicts": dict(value.verdicts),
    }


@plain.register
def _(value: Written) -> Any:
    cited = [plain(one.sentence) | {"number": one.number} for one in value.citations]
    return {
        _MADE: "written",
        "text": value.text,
        "citations": cited,
        "finish": value.finish.value,
    }


@plain.register
def _(value: Sentence) -> Any:
    return {
        "text": value.line,
        "start": value.start,
        "end": value.end,
        "passage": asdict(value.passage),
    }


@plain.register(Passage)
@plain.register(SearchFilter)
def _(value: Passage | SearchFilter) -> Any:
    return asdict(value)


@plain.register(Mapping)
def _(value: Mapping[str, object]) -> Any:
    return {str(name): plain(one) for name, one in value.items()}


@plain.register(list)
@plain.register(tuple)
def _(value: list[object] | tuple[object, ...]) -> Any:
    return [plain(one) for one in value]


def value_of(data: Any) -> Any:
    """What `plain` was made of."""
    if isinstance(data, list):
        return [value_of(one) for one in data]
    if not isinstance(data, dict):
        return data
    match data.get(_MADE):
        case "found":
            return Found(tuple(map(_passage_of, data["passages"])), data["index_version"])
        case "grounds":
            sentences = tuple(map(_sentence_of, data["sentences"]))
            return Grounds(sentences, data["supported"], data["language"], data["verdicts"])
        case "written":
            cited = tuple(Citation(one["number"], _sentence_of(one)) for one in data["citations"])
            return Written(data["text"], cited, FinishReason(data["finish"]))
    return {name: value_of(one) for name, one in data.items()}


def text_of(value: object) -> str:
    """For people: a text as it is, nothing as nothing, all else as Python prints it."""
    return "" if value is None else str(value)


def _sentence_of(data: Mapping[str, Any]) -> Sentence:
    return Sentence(_passage_of(data["passage"]), data["start"], data["end"])


def _passage_of(data: Mapping[str, Any]) -> Passage:
    spans = tuple((start, end) for start, end in data["spans"])
    return Passage(**{**data, "spans": spans, "heading_path": tuple(data["heading_path"])})
