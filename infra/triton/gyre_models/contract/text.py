"""Tokens become text that never splits a character and never shows a part of a stop word."""

from __future__ import annotations

from typing import Any

from tokenizers.decoders import DecodeStream


class TextStream:
    """Incremental text of one answer. tokenizer: a `tokenizers.Tokenizer`."""

    def __init__(self, tokenizer: Any, stop_words: tuple[str, ...] = ()) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._stop_words = stop_words
        self._decoded = 0
        self._held = ""

    def push(self, token: int) -> tuple[str, str | None]:
        """The text that may be shown now, and the stop word that ended the answer, if one did."""
        self._ids.append(token)
        new = self._stream.step(self._tokenizer, token) or ""
        self._decoded += len(new)
        return self._release(new)

    def finish(self) -> tuple[str, str | None]:
        """What was held back: an unfinished character shows as U+FFFD, as in a full decode."""
        rest = self._tokenizer.decode(self._ids, skip_special_tokens=True)[self._decoded :]
        shown, stopped = self._release(rest)
        if stopped:
            return shown, stopped
        held, self._held = self._held, ""
        return shown + held, None

    def _release(self, new: str) -> tuple[str, str | None]:
        if not self._stop_words:
            return new, None
        text = self._held + new
        found = [(text.find(word), word) for word in self._stop_words if word in text]
        if found:
            place, word = min(found)
            self._held = ""
            return text[:place], word
        keep = max(_overlap(text, word) for word in self._stop_words)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], None


def _overlap(text: str, word: str) -> int:
    """How many characters at the end of the text may be the start of the word."""
    longest = min(len(text), len(word) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(word[:n])), 0)
