"""The noun of the recipe: one question, its candidate sentences, and which of them answer."""

from dataclasses import dataclass

REFUSAL = "The documents do not answer this question."


@dataclass(frozen=True)
class Item:
    """`answers` are indexes into `sentences`; empty means that no sentence answers."""

    source: str
    question: str
    sentences: tuple[str, ...]
    answers: frozenset[int]

    def without_answers(self) -> "Item":
        """The same question over the sentences that do not answer it."""
        kept = tuple(s for i, s in enumerate(self.sentences) if i not in self.answers)
        return Item(self.source, self.question, kept, frozenset())

    def reordered(self, order: list[int]) -> "Item":
        """The item with only the sentences named in `order`, in that order."""
        answers = frozenset(new for new, old in enumerate(order) if old in self.answers)
        return Item(self.source, self.question, tuple(self.sentences[i] for i in order), answers)
