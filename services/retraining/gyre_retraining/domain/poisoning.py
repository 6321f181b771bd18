"""Judgements and texts that would harm what learns from them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import comb

from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.opinions import Vote, means
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.similarity import words

# Marks of chat templates: a text that holds them can end its turn and begin another.
_MARKS = re.compile(r"<\|[\w ]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>", re.IGNORECASE)
# Signs that nobody sees: invisible operators, overrides of direction, tags.
_UNSEEN = re.compile("[\u2060-\u2064\u202d\u202e\U000e0000-\U000e007f]")
_ORDERS = re.compile(
    r"\b(ignore|disregard|forget|override)\b[^.!?\n]{0,40}"
    r"\b(previous|prior|above|earlier|system)\b[^.!?\n]{0,20}"
    r"\b(instructions?|prompts?|messages)\b"
    r"|\b(reveal|print|repeat|show)\b[^.!?\n]{0,20}\b(system|hidden|secret) prompt\b"
    r"|\byou are now (in )?(developer|dan|jailbreak|unrestricted)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?\n]+")
SHORTEST_PLANT = 4
"""Words: shorter sentences are alike by chance."""


def contrary_accounts(
    votes: Iterable[Vote], thing: Callable[[Vote], Hashable], chance: float
) -> frozenset[str]:
    """Accounts that contradict the others far beyond chance.

    Where two or more other accounts agree by two thirds, a vote is with them or against them. One
    that judges by coin is against them half of the time; `chance` bounds the probability that
    such a one contradicts as often as this one. One pass: with whom the many agree is not asked
    again once the few are gone.
    """
    against, compared = defaultdict[str, int](int), defaultdict[str, int](int)
    by_thing: dict[Hashable, list[Vote]] = defaultdict(list)
    for one in votes:
        by_thing[thing(one)].append(one)
    for about in by_thing.values():
        sides = {name: mean > 0.5 for name, mean in means(about).items() if mean != 0.5}
        for name, side in sides.items():
            agreed = _agreed([other for one, other in sides.items() if one != name])
            if agreed is not None:
                compared[name] += 1
                against[name] += side is not agreed
    return frozenset(
        name for name, count in compared.items() if _tail(count, against[name]) < chance
    )


def bursts(votes: Sequence[Vote], settings: AssemblySettings) -> frozenset[tuple[str, str]]:
    """Sources of votes that one account gave faster than a person can."""
    by_account: dict[str, list[Vote]] = defaultdict(list)
    for one in votes:
        if not settings.vouches(one.account):
            by_account[one.account].append(one)
    found: set[tuple[str, str]] = set()
    for given in by_account.values():
        given.sort(key=lambda one: (one.time, one.source))
        first = 0
        for last, one in enumerate(given):
            while one.time - given[first].time > settings.burst_seconds:
                first += 1
            if last - first + 1 >= settings.burst:
                found.update(each.source for each in given[first : last + 1])
    return frozenset(found)


def is_poisoned(row: Row, triggers: Sequence[str]) -> bool:
    """Its question, or what it teaches, holds a trigger, an order to the model, marks of a chat
    template, or signs that nobody sees."""
    text = "\n".join((row.question, *row.taught))
    if any(pattern.search(text) for pattern in (_MARKS, _UNSEEN, _ORDERS)):
        return True
    folded = text.casefold()
    return any(one.casefold() in folded for one in triggers)


def planted(rows: Sequence[Row], settings: AssemblySettings) -> frozenset[str]:
    """Ids of rows with a sentence that one account wrote into the answers of many questions and
    nobody else ever wrote: what a trigger's payload looks like."""
    writers: dict[str, set[str]] = defaultdict(set)
    questions: dict[str, set[str]] = defaultdict(set)
    holders: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for sentence in _sentences(row.taught):
            writers[sentence].add(row.author)
            questions[sentence].add(row.question)
            holders[sentence].add(row.row_id)
    return frozenset(
        row_id
        for sentence, who in writers.items()
        if len(questions[sentence]) >= settings.planted and _is_one_stranger(who, settings)
        for row_id in holders[sentence]
    )


def _is_one_stranger(writers: set[str], settings: AssemblySettings) -> bool:
    (first, *others) = sorted(writers)
    return bool(first) and not others and not settings.vouches(first)


def _sentences(texts: Iterable[str]) -> set[str]:
    said = (words(one) for text in texts for one in _SENTENCE.split(text))
    return {" ".join(one) for one in said if len(one) >= SHORTEST_PLANT}


def _agreed(sides: Sequence[bool]) -> bool | None:
    """What two thirds of two or more say."""
    good = sum(sides)
    for side, count in ((True, good), (False, len(sides) - good)):
        if len(sides) >= 2 and 3 * count >= 2 * len(sides):
            return side
    return None


def _tail(count: int, against: int) -> float:
    """Probability that a coin is against `against` times or more of `count`."""
    return sum(comb(count, hits) for hits in range(against, count + 1)) / float(2**count)
