"""What each kind of step may be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gyre_inference.domain.chains import StepKind


@dataclass(frozen=True)
class Form:
    """Arguments of a kind; `literal` ones hold no template."""

    needed: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    literal: frozenset[str] = frozenset()


def _form(needed: str, possible: str = "", literal: str = "") -> Form:
    return Form(*(frozenset(names.split()) for names in (needed, possible, literal)))


FORMS: Mapping[StepKind, Form] = {
    StepKind.RETRIEVE: _form("query", "collection filter top_k"),
    StepKind.SELECT: _form("question found", "for", "for"),
    StepKind.GENERATE: _form(
        "",
        "prompt version arguments question grounds messages model parameters",
        "prompt version model parameters",
    ),
    StepKind.EMBED: _form("texts"),
    StepKind.HTTP: _form("url", "method headers body seconds", "method seconds"),
    StepKind.GUARD: _form("that", "otherwise"),
    StepKind.CONDENSE: _form(
        "question conversation", "prompt version model", "prompt version model"
    ),
    StepKind.VERIFY: _form("text against", "least", "least"),
    StepKind.BRANCH: _form("when then", "else"),
    StepKind.MAP: _form("over as steps", "at_once at_most", "as at_once at_most"),
}
STEPS_IN = {StepKind.BRANCH: ("then", "else"), StepKind.MAP: ("steps", "")}


def texts_in(value: Any) -> Iterator[str]:
    """All texts in plain data; any may hold a template."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts_in(one)
