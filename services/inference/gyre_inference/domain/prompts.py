"""A prompt: how arguments become messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.requests import Violations, parameter_violations

_ARGUMENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXT_BYTES = 64 * 1024
_EXAMPLES = 128


class Style(Enum):
    """`quote`: the model names one sentence and repeats it; `free`: own words with marks."""

    QUOTE = "quote"
    FREE = "free"


class Order(Enum):
    """How sentences are numbered: best first, or as they stand in their documents."""

    BEST = "best"
    DOCUMENT = "document"


class Choose(Enum):
    """Which examples are shown: the first ones, or those nearest to an argument."""

    FIXED = "fixed"
    SIMILAR = "similar"


@dataclass(frozen=True)
class Grounding:
    """How the sentences of documents are put before the model.

    sentences: how many at most. longest: characters of one. refusal: what the model says when the
    sentences do not answer.
    """

    style: Style
    order: Order
    sentences: int
    longest: int
    refusal: str


@dataclass(frozen=True)
class Example:
    """A turn of a conversation as it is wanted."""

    user: str
    assistant: str


@dataclass(frozen=True)
class Examples:
    """count: how many are shown; 0 for all. by: the argument that `similar` compares."""

    items: tuple[Example, ...]
    choose: Choose = Choose.FIXED
    count: int = 0
    by: str = ""

    @property
    def shown(self) -> int:
        """How many are shown."""
        return min(self.count or len(self.items), len(self.items))


@dataclass(frozen=True)
class PromptContent:
    """What a version says. system, user: templates. arguments: names that they use."""

    user: str
    system: str = ""
    arguments: frozenset[str] = frozenset()
    parameters: Parameters = field(default_factory=Parameters)
    examples: Examples | None = None
    grounding: Grounding | None = None
    description: str = ""


@dataclass(frozen=True)
class Prompt:
    """One immutable version of a prompt. digest: hash of its content."""

    name: str
    version: str
    content: PromptContent
    digest: str

    @property
    def parameters(self) -> Parameters:
        """How the model samples where a request does not say."""
        return self.content.parameters


def content_violations(content: PromptContent) -> Violations:
    """Every rule that the content breaks, templates aside."""
    if not content.user.strip():
        yield "user", "must not be empty"
    if len(content.system.encode()) + len(content.user.encode()) > _TEXT_BYTES:
        yield "user", f"must have at most {_TEXT_BYTES} bytes together with `system`"
    for name in sorted(content.arguments):
        if not _ARGUMENT.fullmatch(name):
            yield "arguments", f"{name!r:.80} must match [a-z][a-z0-9_]{{0,63}}"
    yield from parameter_violations(content.parameters)
    yield from _examples(content)
    yield from _grounding(content)


def _examples(content: PromptContent) -> Iterator[tuple[str, str]]:
    examples = content.examples
    if examples is None:
        return
    if not 1 <= len(examples.items) <= _EXAMPLES:
        yield "examples.items", f"must be 1 to {_EXAMPLES}"
    if not 0 <= examples.count <= len(examples.items):
        yield "examples.count", "must be at most the number of items"
    if sum(len(item.user.encode()) + len(item.assistant.encode()) for item in examples.items) > (
        _TEXT_BYTES
    ):
        yield "examples.items", f"must have at most {_TEXT_BYTES} bytes together"
    if any(not item.user.strip() or not item.assistant.strip() for item in examples.items):
        yield "examples.items", "user and assistant must not be empty"
    if examples.choose is Choose.SIMILAR and examples.by not in content.arguments:
        yield "examples.by", "must name one of the arguments"


def _grounding(content: PromptContent) -> Iterator[tuple[str, str]]:
    grounding = content.grounding
    if grounding is None:
        return
    if not 1 <= grounding.sentences <= 64:
        yield "grounding.sentences", "must be 1 to 64"
    if not 40 <= grounding.longest <= 4096:
        yield "grounding.longest", "must be 40 to 4096"
    if not grounding.refusal.strip():
        yield "grounding.refusal", "must not be empty"
    if "sentences" not in content.arguments:
        yield "arguments", "a prompt with a grounding uses `sentences`"
