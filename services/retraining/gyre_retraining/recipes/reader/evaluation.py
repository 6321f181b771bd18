"""The scores of a checkpoint beside the lexical pickers on the same items."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import LlamaForCausalLM

from gyre_retraining.recipes.reader import held_out
from gyre_retraining.recipes.reader.config import Phase
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.lexical import Rarity, bm25_scores, coverage, overlap_scores
from gyre_retraining.recipes.reader.prepare import Material
from gyre_retraining.recipes.reader.sampler import Sampler
from gyre_retraining.recipes.reader.scoring import Verdict, verdicts

LISTED = 6
_MOST_TOKENS = 384
_FALSE_REFUSALS = 0.10


@dataclass(frozen=True)
class Score:
    """Shares of `count` items (0 to 1). `listed`: an answering sentence was among those listed."""

    name: str
    count: int
    model: float
    overlap: float
    bm25: float
    listed: float
    false_refusals: float


@dataclass(frozen=True)
class Judge:
    """Scores one model; `ranked` lists the sentences best first, as in use, else shuffled."""

    model: LlamaForCausalLM
    layout: Layout
    rarity: Rarity
    ranked: bool = True

    def listing(self, item: Item, chance: random.Random) -> Item:
        """The picker's best few sentences within the token budget."""
        scores = overlap_scores(self.rarity, item.question, item.sentences)
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        chosen: list[int] = []
        budget = _MOST_TOKENS - self.layout.length(item.question)
        for place in order:
            budget -= self.layout.length(item.sentences[place]) + 2
            if budget > 0 and len(chosen) < LISTED:
                chosen.append(place)
        if not self.ranked:
            chance.shuffle(chosen)
        return item.reordered(chosen)

    def score(self, name: str, items: Sequence[Item]) -> Score:
        """The cited sentence answers: model, idf overlap and BM25 on the same items."""
        chance = random.Random(0)
        listed = [self.listing(item, chance) for item in items]
        told = verdicts(self.model, self.layout, listed)
        return Score(
            name=name,
            count=len(items),
            model=_mean([v.cited() in i.answers for v, i in zip(told, listed, strict=True)]),
            overlap=_mean([self._picked(overlap_scores, item) for item in items]),
            bm25=_mean([self._picked(bm25_scores, item) for item in items]),
            listed=_mean([bool(item.answers) for item in listed]),
            false_refusals=_mean([v.refuses() for v in told]),
        )

    def refusing(
        self, answerable: Sequence[Item], unanswerable: Sequence[Item]
    ) -> dict[str, float]:
        """Share of unanswerable questions refused at 10 % false refusals: model, coverage."""
        sure, unsure = self._certainties(answerable), self._certainties(unanswerable)
        covered = [coverage(self.rarity, i.question, i.sentences) for i in answerable]
        uncovered = [coverage(self.rarity, i.question, i.sentences) for i in unanswerable]
        return {"model": _refused(sure, unsure), "coverage": _refused(covered, uncovered)}

    def _certainties(self, items: Sequence[Item]) -> list[float]:
        chance = random.Random(0)
        told = verdicts(self.model, self.layout, [self.listing(item, chance) for item in items])
        return [_certainty(verdict) for verdict in told]

    def _picked(
        self, scorer: Callable[[Rarity, str, Sequence[str]], list[float]], item: Item
    ) -> bool:
        scores = scorer(self.rarity, item.question, item.sentences)
        return max(range(len(scores)), key=scores.__getitem__) in item.answers


def _certainty(verdict: Verdict) -> float:
    return math.log(sum(map(math.exp, verdict.citations)) + 1e-12) - verdict.refusal


def _refused(answerable: list[float], unanswerable: list[float]) -> float:
    threshold = sorted(answerable)[int(_FALSE_REFUSALS * len(answerable))]
    return _mean([value < threshold for value in unanswerable])


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))


def synthetic_items(material: Material, layout: Layout, count: int, seed: int) -> list[Item]:
    """Held-out made questions, shuffled lists of up to eight sentences."""
    sampler = Sampler(material.shelf.held_out, (), material.rarity, layout)
    phase = Phase(share=1, longest=320, most_sentences=8, real=0, ranked=0, refused=0)
    chance = random.Random(seed)
    return [sampler.draw(phase, chance) for _ in range(count)]


def score_all(judge: Judge, material: Material, data: Path, count: int) -> list[Score]:
    """Development questions, made questions and the three evaluation sets."""
    sets = {
        "development": list(material.development[:count]),
        "synthetic": synthetic_items(material, judge.layout, count, 11),
        "squad2_half": held_out.squad_items(data, count, 3),
        "va_gov": held_out.va_items(data, count, 3),
        "feedback_qa": held_out.feedback_items(data, count, 3),
    }
    return [judge.score(name, items) for name, items in sets.items() if items]
