"""How far support tells questions that the documents answer from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from gyre_inference.domain.coverage import Support, support

from calibration.asking import for_fitting, scored
from calibration.fitting import Array, area, fit_telling
from calibration.knowledge import Collection
from calibration.search import HybridSearch
from calibration.vectors import Embedder

ANSWERABLE, OTHER_TOPIC, OTHER_ARTICLE, REMOVED = "answered", "topic", "article", "passage"
REFUSED = 0.9
# Pages of one authority answer much of what their neighbours do; articles of SQuAD do not.
APART = "SQuAD"

Half = Mapping[tuple[str, str], Sequence[Support]]


def measured(collections: Sequence[Collection], embedder: Embedder) -> tuple[Half, Half]:
    """Support of every question, by collection and kind; pages to fit on, pages to report on."""
    halves: tuple[dict[tuple[str, str], list[Support]], ...] = ({}, {})
    for place, collection in enumerate(collections):
        search = HybridSearch(collection.passages, embedder)
        pages = {one.chunk_id: one.source_uri for one in collection.passages}
        # Not one authority's headings to another's pages: `How do I apply?` fits both.
        strangers = collections[0 if place else 1]
        for asked in collection.asked:
            page = pages[min(asked.gold)]
            same_page = frozenset(chunk for chunk, one in pages.items() if one == page)
            half = halves[0 if for_fitting(page) else 1]
            kinds = (
                (ANSWERABLE, frozenset[str]()),
                (REMOVED, asked.gold),
                (OTHER_ARTICLE, same_page),
            )
            for kind, without in kinds:
                found = search.search(asked.question, without)
                told = support(scored(asked.question, found, embedder))
                half.setdefault((collection.name, kind), []).append(told)
        for number, asked in enumerate(strangers.asked):
            told = support(scored(asked.question, search.search(asked.question), embedder))
            halves[number % 2].setdefault((collection.name, OTHER_TOPIC), []).append(told)
    return halves[0], halves[1]


def refit(half: Half) -> None:
    """Prints the table for `coverage.py`: at 0.5, nine of ten of every foreign kind are refused."""
    yes = [values for (_, kind), values in half.items() if kind == ANSWERABLE]
    no = [values for (name, kind), values in half.items() if _foreign(name, kind)]
    for sentence, passage in product((True, False), repeat=2):
        known = [True, sentence, passage]
        weights = fit_telling([_rows(one, known) for one in yes], [_rows(one, known) for one in no])
        quantiles = (np.quantile(_rows(one, known) @ weights[:-1], REFUSED) for one in no)
        bias = -float(max(quantiles))
        print(
            f"    ({sentence}, {passage}): ({tuple(weights[:-1].round(2).tolist())}, {bias:.2f}),"
        )


def report(half: Half, threshold: float) -> None:
    """Shares refused at the threshold, and the area under the curve against answered ones."""
    print(
        f"\nrefused below {threshold} (area under the curve), on pages that nothing was fitted on"
    )
    for name in dict.fromkeys(name for name, _ in half):
        yes = np.array([one.score for one in half[name, ANSWERABLE]])
        print(
            f"{name}: {len(yes)} answered questions, {np.mean(yes < threshold):.3f} refused wrongly"
        )
        for kind in (OTHER_TOPIC, OTHER_ARTICLE, REMOVED):
            no = np.array([one.score for one in half[name, kind]])
            print(f"  other {kind:8} {np.mean(no < threshold):.3f} ({area(yes, no):.2f})")


def _foreign(name: str, kind: str) -> bool:
    return kind == OTHER_TOPIC or (name == APART and kind == OTHER_ARTICLE)


def _rows(values: Sequence[Support], known: Sequence[bool]) -> Array:
    rows = [(one.words, one.sentence or 0.0, one.passage or 0.0) for one in values]
    return np.array(rows)[:, np.array(known)]
