"""From passages found to the few sentences the model sees, or to none."""

from __future__ import annotations

from gyre_inference.domain.coverage import support
from gyre_inference.domain.faults import Fault
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.passages import Found, Sentence, sentences_of
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.prompts import Grounding, Order
from gyre_inference.domain.selection import Scoring, context, score, with_meaning
from gyre_inference.domain.words import language_of
from gyre_inference.ports import SentenceVectors


class Chooser:
    """Ranks by words, then, where it is set to, by meaning."""

    def __init__(self, vectors: SentenceVectors, policy: Policy) -> None:
        self._vectors = vectors
        self._policy = policy

    async def choose(self, question: str, found: Found, grounding: Grounding) -> Grounds:
        """The best few sentences, and whether they can answer at all. Never raises a `Fault`."""
        sentences = sentences_of(found, grounding.longest)
        scoring = score(question, sentences, self._policy.weights)
        scoring, route = await self._compared(question, scoring)
        measured = support(scoring)
        supported = bool(scoring.ranked) and measured.score >= self._policy.support
        return Grounds(
            sentences=_ordered(scoring.best(grounding.sentences), grounding.order),
            supported=supported,
            language=language_of(question),
            verdicts={
                "support": f"{'supported' if supported else 'unsupported'} {measured.score:.2f}",
                "selection": route,
            },
        )

    async def _compared(self, question: str, scoring: Scoring) -> tuple[Scoring, str]:
        first = scoring.ranked[: self._policy.candidates]
        if not first:
            return scoring, "words"
        try:
            lines = [context(item.sentence) for item in first]
            cosines = await self._vectors.similarities(question, lines)
        except Fault:
            return scoring, "words (meaning unavailable)"
        return with_meaning(scoring, cosines), "words and meaning"


def _ordered(scoring: Scoring, order: Order) -> tuple[Sentence, ...]:
    sentences = tuple(item.sentence for item in scoring.ranked)
    if order is Order.BEST:
        return sentences
    return tuple(sorted(sentences, key=lambda sentence: sentence.place))
