"""From a prompt and its arguments to messages: system, examples, user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gyre_inference.domain.faults import Fault, InvalidRequest
from gyre_inference.domain.generation import Message
from gyre_inference.domain.prompts import (
    Choose,
    Example,
    Examples,
    Prompt,
    PromptContent,
    content_violations,
)
from gyre_inference.domain.registry import refuse
from gyre_inference.domain.requests import Violations
from gyre_inference.ports import SentenceVectors, Templates

Vectors = NDArray[np.float32]
_KEPT = 64


class Prompting:
    """Renders versions that were checked. Vectors of examples are made once."""

    def __init__(self, templates: Templates, vectors: SentenceVectors) -> None:
        self._templates = templates
        self._vectors = vectors
        self._known: OrderedDict[str, Vectors] = OrderedDict()

    def check(self, content: PromptContent) -> None:
        """Raises `InvalidRequest` with every rule that the content breaks."""
        refuse(self._violations(content))

    async def messages(
        self, prompt: Prompt, arguments: Mapping[str, object]
    ) -> tuple[Message, ...]:
        """Raises `InvalidRequest` where an argument is missing or not declared."""
        refuse(_arguments(prompt.content, arguments))
        content = prompt.content
        system = self._templates.render(content.system, arguments).strip()
        user = self._templates.render(content.user, arguments).strip()
        shown = await self._shown(prompt, arguments) if content.examples else []
        return (
            *([Message("system", system)] if system else []),
            *(message for example in shown for message in _turn(example)),
            Message("user", user),
        )

    async def _shown(self, prompt: Prompt, arguments: Mapping[str, object]) -> list[Example]:
        examples = prompt.content.examples
        assert examples is not None
        if examples.choose is Choose.SIMILAR:
            try:
                return await self._nearest(prompt.digest, examples, str(arguments[examples.by]))
            except Fault:  # an answer with other examples is better than none
                pass
        return list(examples.items[: examples.shown])

    async def _nearest(self, digest: str, examples: Examples, text: str) -> list[Example]:
        if digest not in self._known:
            made = await self._vectors.vectors([item.user for item in examples.items])
            self._known[digest] = np.asarray(made, np.float32)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        (vector,) = await self._vectors.vectors([text])
        cosines = self._known[digest] @ np.asarray(vector, np.float32)
        best = np.argsort(-cosines, kind="stable")[: examples.shown]
        return [examples.items[place] for place in reversed(best)]

    def _violations(self, content: PromptContent) -> Violations:
        yield from content_violations(content)
        used: set[str] = set()
        for field in ("system", "user"):
            try:
                used |= self._templates.names(getattr(content, field))
            except InvalidRequest as fault:
                yield field, fault.violations["template"]
                return
        if used != content.arguments:
            yield "arguments", f"must be those the templates use: {', '.join(sorted(used))}"


def _arguments(content: PromptContent, given: Mapping[str, object]) -> Violations:
    for name in sorted(content.arguments - given.keys()):
        yield f"arguments.{name}", "is missing"
    for name in sorted(given.keys() - content.arguments):
        yield f"arguments.{name}", "is not declared by the prompt"


def _turn(example: Example) -> tuple[Message, Message]:
    return Message("user", example.user), Message("assistant", example.assistant)
