"""Training items drawn from the material: real and made questions, ranked, with hard refusals."""

import random
from collections import defaultdict

from gyre_retraining.recipes.reader.config import Phase
from gyre_retraining.recipes.reader.corpus import Document
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.lexical import Rarity, overlap_scores
from gyre_retraining.recipes.reader.synthetic import ask
from gyre_retraining.recipes.reader.text import content_stems

SOURCE_SHARES = {"span": 3.0, "heading": 4.0, "faq": 2.5, "fact": 3.0, "judged": 2.5}
_WINDOW, _RELATED, _LONGEST_POSTING = 12, 12, 60
_LONGEST_SENTENCE = 60
_BETTER = 6.0


class Sampler:
    """Draws items that fit a phase. The picker's order carries a little noise."""

    def __init__(
        self,
        documents: tuple[Document, ...],
        items: tuple[Item, ...],
        rarity: Rarity,
        layout: Layout,
    ) -> None:
        self._documents, self._rarity, self._layout = documents, rarity, layout
        self._by_source: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            self._by_source[item.source].append(item)
        self._postings = self._related_sentences()

    def draw(self, phase: Phase, chance: random.Random) -> Item:
        """One item within the phase's length and number of sentences."""
        while True:
            item = self._real(chance) if chance.random() < phase.real else self._made(chance)
            if item is None:
                continue
            if chance.random() < phase.refused:
                item = item.without_answers()
            listed = self._listed(item, phase, chance)
            if len(listed.sentences) >= 2 and bool(listed.answers) == bool(item.answers):
                return listed

    def _real(self, chance: random.Random) -> Item | None:
        shares = {source: SOURCE_SHARES.get(source, 1.0) for source in self._by_source}
        if not shares:
            return None
        [source] = chance.choices(list(shares), list(shares.values()))
        return chance.choice(self._by_source[source])

    def _made(self, chance: random.Random) -> Item | None:
        document = chance.choice(self._documents)
        place = chance.randrange(len(document.sentences))
        sentence = document.sentences[place]
        question = ask(sentence, self._rarity, chance)
        if question is None:
            return None
        around = document.sentences[max(0, place - _WINDOW // 2) : place + _WINDOW // 2]
        pool = dict.fromkeys([sentence, *around, *self._related(question, chance)])
        return Item("made", question, tuple(pool), frozenset({0}))

    def _related(self, question: str, chance: random.Random) -> list[str]:
        stems = [stem for stem in content_stems(question) if stem in self._postings]
        return [
            chance.choice(self._postings[chance.choice(stems)]) for _ in range(_RELATED) if stems
        ]

    def _listed(self, item: Item, phase: Phase, chance: random.Random) -> Item:
        order = self._order(item, chance)
        wanted = max(chance.randint(2, phase.most_sentences) for _ in range(2))
        budget = (
            int(phase.longest * chance.uniform(0.75, 1.0)) - self._layout.length(item.question) - 8
        )
        chosen: list[int] = []
        for place in order:
            cost = self._layout.length(item.sentences[place]) + 2
            if cost <= min(budget, _LONGEST_SENTENCE) and len(chosen) < wanted:
                chosen.append(place)
                budget -= cost
        if chance.random() >= phase.ranked:
            chance.shuffle(chosen)
        return item.reordered(chosen)

    def _order(self, item: Item, chance: random.Random) -> list[int]:
        scores = overlap_scores(self._rarity, item.question, item.sentences)
        # The caller's picker knows meaning, too: half of the lists are better than words alone.
        better = chance.choice([0.0, chance.uniform(0, _BETTER)])
        noisy = [
            score + chance.gauss(0, 0.7) + better * (place in item.answers)
            for place, score in enumerate(scores)
        ]
        order = sorted(range(len(noisy)), key=lambda i: -noisy[i])
        best = [i for i in order if i in item.answers]
        # An answer that the picker ranks too low to be listed would teach to refuse it.
        if best and order.index(best[0]) > 5:
            order.remove(best[0])
            order.insert(chance.randrange(1, 6), best[0])
        return order

    def _related_sentences(self) -> dict[str, list[str]]:
        postings: dict[str, list[str]] = defaultdict(list)
        for document in self._documents[:4_000]:
            for sentence in document.sentences[:20]:
                for stem in set(content_stems(sentence)):
                    if 3 <= self._rarity.frequencies.get(stem, 0) <= 1_500:
                        held = postings[stem]
                        if len(held) < _LONGEST_POSTING:
                            held.append(sentence)
        return postings
