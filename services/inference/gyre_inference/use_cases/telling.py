"""The model's text, edited and written down while it passes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from gyre_inference.domain.editing import Editor
from gyre_inference.domain.faults import DeadlinePassed, Unavailable
from gyre_inference.domain.generation import Ending, FinishReason, ModelRequest
from gyre_inference.ports import LanguageModel


class Notes(Protocol):
    """Who writes down what is told."""

    def said(self, text: str) -> None:
        """Text that is told."""
        ...

    def ended(self, ending: Ending) -> None:
        """The model's own account of its end."""
        ...


async def tell(
    model: LanguageModel, request: ModelRequest, notes: Notes, editor: Editor
) -> AsyncGenerator[str, None]:
    """Texts to append, never empty. Closing it early stops the model."""
    async with aclosing(model.write(request)) as pieces:
        async for piece in pieces:
            text = editor.feed(piece.text)
            if piece.ending:
                text += editor.finish()
                _note(piece.ending, notes)
            if text:
                notes.said(text)
                yield text


def _note(ending: Ending, notes: Notes) -> None:
    notes.ended(ending)
    if ending.reason is FinishReason.TIMEOUT:
        raise DeadlinePassed("the model ran out of the time that was left")
    if ending.reason is FinishReason.CANCELLED:
        raise Unavailable("the model server gave the answer up; ask again", retry_after=1.0)
