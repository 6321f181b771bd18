"""Questions made from sentences on the fly: endless, but they teach overlap and little more."""

import random
import re
from dataclasses import dataclass

from gyre_retraining.recipes.reader.lexical import Rarity
from gyre_retraining.recipes.reader.text import STOP_WORDS, WORD, words_of


def _ways(text: str) -> list[str]:
    return text.split("|")


_MONTHS = words_of(
    "January February March April May June July August September October November December"
)
_YEAR = re.compile(r"1[0-9]{3}|20[0-2][0-9]")
_NUMBER = re.compile(
    r"[\d.,]+|two|three|four|five|six|seven|eight|nine|ten|hundred|thousand|million"
)
_PLAIN = _ways(
    "what {x}|what is {x}|what are {x}|what about {x}|how {x}|how do i {x}|how does {x}|can i "
    "{x}|{x}|tell me about {x}|why {x}|what does {x}|which {x}|is {x}|do {x}|does {x}|how can i "
    "{x}|what happens {x}|explain {x}|what is the {x}|what did {x}|how did {x}|what was {x}|who "
    "{x}|where {x}|when {x}|where can i {x}|should i {x}|what kind of {x}|what {x} of"
)
_WHEN = _ways("when {x}|when did {x}|when was {x}|what year {x}|in what year {x}|when were {x}")
_MANY = _ways("how many {x}|how much {x}|what number of {x}|what percentage {x}|how long {x}")
_WHO = _ways("who {x}|who was {x}|what is the name of {x}|which person {x}|what {x}|which {x}")
_WHERE = _ways("where {x}|where is {x}|where did {x}|in what place {x}|what city {x}|in which {x}")


@dataclass(frozen=True)
class _Blank:
    """What is asked for: the words left out and the ways to ask."""

    words: frozenset[int]
    ways: list[str]


def ask(sentence: str, rarity: Rarity, chance: random.Random) -> str | None:
    """A question that the sentence answers, or None where it has too few content words."""
    words = WORD.findall(sentence)
    blank = _blank(words, chance) if chance.random() < 0.55 else _Blank(frozenset(), _PLAIN)
    content = [
        i for i, w in enumerate(words) if w.lower() not in STOP_WORDS and i not in blank.words
    ]
    if len(content) < 2:
        return None
    kept = _kept(content, words, rarity, chance)
    body = " ".join(_reworded(words, kept, chance))
    return _dressed(chance.choice(blank.ways).format(x=body), chance)


def _blank(words: list[str], chance: random.Random) -> _Blank:
    years = [i for i, w in enumerate(words) if _YEAR.fullmatch(w) or w in _MONTHS]
    numbers = [i for i, w in enumerate(words) if _NUMBER.fullmatch(w) and i not in years]
    names = [i for i, w in enumerate(words) if i and w[0].isupper() and w not in _MONTHS]
    kinds = [k for k, found in (("year", years), ("number", numbers), ("name", names)) if found]
    kind = chance.choice(kinds) if kinds else "plain"
    if kind == "year":
        return _Blank(frozenset(years), _WHEN)
    if kind == "number":
        return _Blank(frozenset({chance.choice(numbers)}), _MANY)
    return _name_blank(words, chance.choice(names)) if names else _Blank(frozenset(), _PLAIN)


def _name_blank(words: list[str], inside: int) -> _Blank:
    first = last = inside
    while first > 0 and words[first - 1][0].isupper():
        first -= 1
    while last + 1 < len(words) and words[last + 1][0].isupper():
        last += 1
    placed = first > 0 and words[first - 1].lower() in {"in", "at", "from", "near"}
    return _Blank(frozenset(range(first, last + 1)), _WHERE if placed else _WHO)


def _kept(content: list[int], words: list[str], rarity: Rarity, chance: random.Random) -> list[int]:
    wanted = max(2, min(9, round(chance.uniform(0.25, 0.65) * len(content))))
    weighed = {
        i: rarity.weight(words[i].lower()) * 0.35 + chance.expovariate(1) * 1.6 for i in content
    }
    kept = sorted(sorted(content, key=lambda i: -weighed[i])[:wanted])
    if chance.random() < 0.3:
        chance.shuffle(kept)
    return kept


def _reworded(words: list[str], kept: list[int], chance: random.Random) -> list[str]:
    told: list[str] = []
    for before, here in zip([None, *kept], kept, strict=False):
        between = before is not None and here - before == 2
        if between and words[here - 1].lower() in STOP_WORDS and chance.random() < 0.7:
            told.append(words[here - 1])
        elif before is not None and chance.random() < 0.15:
            told.append(chance.choice(["the", "of", "in", "a", "for", "to", "and"]))
        word = near_form(words[here], chance) if chance.random() < 0.25 else words[here]
        told.append(word.lower() if chance.random() < 0.25 and not word.isupper() else word)
    return told


def near_form(word: str, chance: random.Random) -> str:
    """Another English form of the word (plural, past, -ing), often a real one."""
    for ending, others in _FORMS:
        if len(word) > 3 and word.isalpha() and word.lower().endswith(ending):
            return word[: len(word) - len(ending)] + chance.choice(others)
    return word


_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ies", ("y", "ied")),
    ("tion", ("te", "tes", "ted", "ting")),
    ("ing", ("", "e", "ed", "s")),
    ("ed", ("", "e", "ing", "s")),
    ("ss", ("sses",)),
    ("s", ("",)),
    ("e", ("es", "ed", "ing")),
    ("", ("s", "ing", "ed", "'s")),
)


def _dressed(question: str, chance: random.Random) -> str:
    lowered = question.lower() if chance.random() < 0.15 else question
    started = lowered[0].upper() + lowered[1:] if chance.random() < 0.6 else lowered
    return f"{started}?" if chance.random() < 0.75 else started
