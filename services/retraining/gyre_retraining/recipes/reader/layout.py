"""An item as token ids: exactly what the chat template renders, plus where to learn."""

from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerFast

from gyre_retraining.recipes.reader.items import REFUSAL, Item
from gyre_retraining.recipes.reader.tokenizer import (
    ANSWER,
    BEGIN,
    END,
    MARKS,
    PAD,
    QUESTION,
    SOURCES,
)


@dataclass(frozen=True)
class Example:
    """`ids[:answer]` is the prompt; `ends` are the places of the last token of each sentence;
    `right[i]` says whether sentence i answers; `allowed` are the first answer tokens that a guide
    leaves, `targets` the right ones of them."""

    ids: list[int]
    answer: int
    ends: list[int]
    right: list[bool]
    allowed: list[int]
    targets: list[int]


class Layout:
    """Lays items out with one tokenizer; encoded texts are remembered."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        named = tokenizer.convert_tokens_to_ids
        self._begin, self._question = named(BEGIN), named(QUESTION)
        self._sources, self._answer, self._end = named(SOURCES), named(ANSWER), named(END)
        self.pad: int = named(PAD)
        self.marks: list[int] = [named(mark) for mark in MARKS]
        self._refusal: list[int] = tokenizer.encode(REFUSAL, add_special_tokens=False)
        self.refusal: int = self._refusal[0]
        self.choices: list[int] = [*self.marks, self.refusal]
        self._encode = lru_cache(maxsize=200_000)(
            lambda text: tokenizer.encode(f" {text}", add_special_tokens=False)
        )

    def example(self, item: Item, longest: int | None = None) -> Example:
        """The item's tokens; with `longest` the answer's text follows, cut at that length."""
        ids = [self._begin, self._question, *self._encode(item.question), self._sources]
        ends: list[int] = []
        for mark, sentence in zip(self.marks, item.sentences, strict=False):
            ids += [mark, *self._encode(sentence), mark]
            ends.append(len(ids) - 1)
        ids.append(self._answer)
        right = [i in item.answers for i in range(len(item.sentences))]
        allowed = [*self.marks[: len(item.sentences)], self.refusal]
        targets = [self.marks[i] for i in sorted(item.answers)] or [self.refusal]
        text = self._answer_text(item) if longest else []
        return Example([*ids, *text][: longest or None], len(ids), ends, right, allowed, targets)

    def length(self, text: str) -> int:
        """Tokens of a text in a prompt."""
        return len(self._encode(text))

    def _answer_text(self, item: Item) -> list[int]:
        if not item.answers:
            return [*self._refusal, self._end]
        first = min(item.answers)
        return [self.marks[first], *self._encode(item.sentences[first]), self._end]
