"""What happens to a model's text on its way to the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gyre_inference.domain.citations import Citation, CitationMarks
from gyre_inference.domain.passages import Sentence
from gyre_inference.domain.prompts import Grounding, Style
from gyre_inference.domain.refusals import RefusalWatch


class Editor(Protocol):
    """Is fed a text in pieces and returns what may be shown."""

    def feed(self, piece: str) -> str:
        """What may be shown now; may be empty."""
        ...

    def finish(self) -> str:
        """What was held back until the end."""
        ...


class Verbatim:
    """Changes nothing."""

    def feed(self, piece: str) -> str:
        """The piece itself."""
        return piece

    def finish(self) -> str:
        """Nothing is ever held back."""
        return ""


class GroundedText:
    """Checks citations, and tells a refusal in the language of the question."""

    def __init__(self, grounding: Grounding, sentences: Sequence[Sentence], refusal: str) -> None:
        self._marks = CitationMarks(sentences, leading=grounding.style is Style.QUOTE)
        self._watch = RefusalWatch(grounding.refusal)
        self._refusal = refusal

    @property
    def refused(self) -> bool:
        """Whether the model said that the sentences do not answer; known after `finish`."""
        return self._watch.refused

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Sentences cited so far."""
        return self._marks.citations

    @property
    def dropped(self) -> int:
        """Marks that named no sentence."""
        return self._marks.dropped

    def feed(self, piece: str) -> str:
        """Text without false marks."""
        return self._marks.feed(self._watch.feed(piece))

    def finish(self) -> str:
        """The rest, or the refusal."""
        rest = self._watch.finish()
        return self._refusal if self.refused else self._marks.feed(rest) + self._marks.finish()
