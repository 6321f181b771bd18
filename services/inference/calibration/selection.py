"""How often the sentence chosen answers, beside two lexical pickers on the same sentences."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from gyre_inference.domain.asking import asks_for_number, has_number, is_question
from gyre_inference.domain.passages import Found, Passage, Sentence, one_line, sentences_of
from gyre_inference.domain.selection import Scoring

from calibration.asking import LONGEST, best, for_fitting, near, scored
from calibration.fitting import Listing, fit_ranking
from calibration.knowledge import Asked, Collection
from calibration.pickers import Pickers
from calibration.search import HybridSearch
from calibration.vectors import Embedder

NAMES = ("words", "sentence", "passage", "number", "question")


@dataclass(frozen=True)
class Item:
    """A question and the passages among whose sentences the answer is to be found."""

    asked: Asked
    found: Found
    page: str


def three_passages(collection: Collection, embedder: Embedder) -> Iterator[Item]:
    """The right passage and two others of its page, in any order: selection alone."""
    pages: dict[str, list[Passage]] = defaultdict(list)
    by_id = {passage.chunk_id: passage for passage in collection.passages}
    for passage in collection.passages:
        pages[passage.source_uri].append(passage)
    chance = random.Random(3)
    for asked in collection.asked:
        right = by_id[min(asked.gold)]
        others = [one for one in pages[right.source_uri] if one is not right]
        if len(others) >= 2:
            three = [right, *chance.sample(others, 2)]
            chance.shuffle(three)
            yield Item(asked, near(asked.question, three, embedder), right.source_uri)


def searched(collection: Collection, embedder: Embedder) -> Iterator[Item]:
    """What search finds in the whole collection: the answer path."""
    search = HybridSearch(collection.passages, embedder)
    pages = {passage.chunk_id: passage.source_uri for passage in collection.passages}
    for asked in collection.asked:
        yield Item(asked, search.search(asked.question), pages[min(asked.gold)])


WAYS = (("three passages", three_passages), ("ten found", searched))


def report(collections: Sequence[Collection], embedder: Embedder) -> None:
    """Two tables: three passages of a page, and the ten passages that search finds."""
    for what, items_of in WAYS:
        print(f"\n{what}: the sentence chosen answers (share ± 95 % margin; other half of pages)")
        print(f"{'':12}{'questions':>10}{'overlap':>16}{'BM25':>16}{'chosen':>16}")
        for collection in collections:
            items = [item for item in items_of(collection, embedder) if not for_fitting(item.page)]
            print(_row(collection, items, embedder))


def listed(
    collections: Sequence[Collection], embedder: Embedder, most: int
) -> Iterator[dict[str, object]]:
    """What prompts would show, best first, one row a question; `answers` are places in
    `sentences`, and `overlap` and `bm25` say whether that picker was right."""
    for what, items_of in WAYS:
        for collection in collections:
            pickers = Pickers(collection.passages, LONGEST)
            for item in items_of(collection, embedder):
                if not for_fitting(item.page):
                    row = _listed(item, pickers, embedder, most)
                    yield {"set": f"{what}: {collection.name}"} | row


def _listed(item: Item, pickers: Pickers, embedder: Embedder, most: int) -> dict[str, object]:
    question, right = item.asked.question, item.asked.is_answered_by
    lines = sentences_of(item.found, LONGEST)
    shown = [one.sentence for one in scored(question, item.found, embedder).best(most).ranked]
    return {
        "question": one_line(question),
        "sentences": [one.line for one in shown],
        "answers": [place for place, one in enumerate(shown) if right(one)],
        "overlap": right(pickers.overlap(question, lines)),
        "bm25": right(pickers.bm25(question, lines)),
    }


def refit(collections: Sequence[Collection], embedder: Embedder) -> None:
    """Prints the weights for `Weights`."""
    groups = [
        [
            listing
            for item in three_passages(collection, embedder)
            if for_fitting(item.page)
            for listing in _listing(item, scored(item.asked.question, item.found, embedder))
        ]
        for collection in collections
    ]
    weights = fit_ranking(groups)
    print({name: round(float(weight), 2) for name, weight in zip(NAMES, weights, strict=True)})


def _listing(item: Item, scoring: Scoring) -> Iterator[Listing]:
    number = asks_for_number(item.asked.question)
    rows = [
        (
            one.words,
            one.cosine or 0.0,
            one.sentence.passage.dense or 0.0,
            float(number and has_number(one.sentence.line)),
            float(is_question(one.sentence.line)),
        )
        for one in scoring.ranked
    ]
    right = np.array([item.asked.is_answered_by(one.sentence) for one in scoring.ranked])
    if right.any():
        yield np.array(rows), right


def _row(collection: Collection, items: Sequence[Item], embedder: Embedder) -> str:
    pickers = Pickers(collection.passages, LONGEST)

    def share(pick: Callable[[Item, list[Sentence]], Sentence]) -> str:
        return _share(
            [
                item.asked.is_answered_by(pick(item, sentences_of(item.found, LONGEST)))
                for item in items
            ]
        )

    overlap = share(lambda item, lines: pickers.overlap(item.asked.question, lines))
    bm25 = share(lambda item, lines: pickers.bm25(item.asked.question, lines))
    ours = share(lambda item, _: best(scored(item.asked.question, item.found, embedder)))
    return f"{collection.name:12}{len(items):>10}{overlap:>16}{bm25:>16}{ours:>16}"


def _share(right: Sequence[bool]) -> str:
    share = sum(right) / len(right)
    return f"{share:.3f} ± {1.96 * math.sqrt(share * (1 - share) / len(right)):.3f}"
