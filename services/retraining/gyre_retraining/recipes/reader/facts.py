"""Distractors for items that come with one sentence only: their nearest neighbours by words."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.lexical import Rarity, overlap_scores
from gyre_retraining.recipes.reader.text import content_stems

_NEAR, _ANY, _LONGEST_POSTING = 10, 4, 400


def with_neighbours(items: Sequence[Item], rarity: Rarity, chance: random.Random) -> list[Item]:
    """Each item with its own sentence first, then near ones, then a few at random."""
    sentences = sorted({item.sentences[0] for item in items})
    postings: dict[str, list[str]] = defaultdict(list)
    for sentence in sentences:
        for stem in set(content_stems(sentence)):
            postings[stem].append(sentence)
    return [_widened(item, sentences, postings, rarity, chance) for item in items]


def _widened(
    item: Item,
    sentences: list[str],
    postings: dict[str, list[str]],
    rarity: Rarity,
    chance: random.Random,
) -> Item:
    lists = [postings.get(stem, []) for stem in sorted(set(content_stems(item.question)))]
    near = sorted({s for found in lists if len(found) <= _LONGEST_POSTING for s in found})
    scores = dict(zip(near, overlap_scores(rarity, item.question, near), strict=True))
    nearest = sorted(near, key=lambda s: -scores[s])[:_NEAR]
    pool = dict.fromkeys(
        [item.sentences[0], *nearest, *chance.sample(sentences, min(_ANY, len(sentences)))]
    )
    return replace(item, sentences=tuple(pool))
