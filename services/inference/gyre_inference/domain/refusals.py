"""The sentence that says that the documents do not answer, and how it is told in a stream."""

from __future__ import annotations

_SENTENCES = {
    "en": "The documents do not answer this question.",
    "de": "Die Dokumente beantworten diese Frage nicht.",
}


def refusal(language: str) -> str:
    """In the question's language; English where there is none of it."""
    return _SENTENCES.get(language, _SENTENCES["en"])


class RefusalWatch:
    """Holds a text back for as long as it may still become the refusal the model was taught.

    refused: after `finish`, whether the whole text was it.
    """

    def __init__(self, taught: str) -> None:
        self._taught = taught
        self._held = ""
        self._watching = bool(taught)
        self.refused = False

    def feed(self, piece: str) -> str:
        """Text that is certainly not a refusal."""
        self._held += piece
        if self._watching and self._taught.startswith(self._held.strip()):
            return ""
        self._watching = False
        held, self._held = self._held, ""
        return held

    def finish(self) -> str:
        """What was still held back; empty when it was the refusal."""
        self.refused = self._watching and self._held.strip() == self._taught
        return "" if self.refused else self._held
