"""Versions of datasets: open, then split, checked for leaks and sealed for good."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.examples import Example, digest
from gyre_evaluation.domain.metrics.sentences import content_words

NAME = re.compile(r"[a-z0-9_-]{1,64}")
TRAIN, TEST = "train", "test"
# Questions that share so many of their content words say nearly the same.
NEARLY_THE_SAME = 0.8


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """content_hash: over all examples and splits; empty while it is open. leaks_mended: examples
    that were moved to another split, because nearly the same question stands there."""

    tenant: str
    name: str
    version: int
    description: str
    author: str
    create_time: datetime
    examples: int = 0
    sealed: bool = False
    splits: Mapping[str, int] = field(default_factory=dict)
    content_hash: str = ""
    leaks_mended: int = 0


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """shares: of examples that name no split, the rest is `train`; empty means all are `test`.

    stratify_by: a slice whose values keep their shares in every split.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    stratify_by: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if any(not 0.0 < share <= 1.0 for share in self.shares.values()) or (
            sum(self.shares.values()) > 1.0 + 1e-9
        ):
            raise RequestInvalid({"shares": "give shares over 0 that make at most 1 together"})


@dataclass(frozen=True, slots=True)
class Sealing:
    """splits: example id -> split."""

    splits: Mapping[str, str]
    content_hash: str
    leaks_mended: int

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(self.splits.values()))


def refuse_bad_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise RequestInvalid({"name": "give 1 to 64 characters of a-z, 0-9, '_' and '-'"})


def seal(examples: Sequence[Example], plan: SplitPlan) -> Sealing:
    """Every example has a split, no split holds what another one nearly holds too.

    Examples that are nearly the same, or of one group, are drawn together. Where the caller put
    them into different splits, all go to that of the first by id, and the moved ones are counted.
    """
    families = _families(examples)
    splits: dict[str, str] = {}
    mended = 0
    for stratum in _strata(families, plan.stratify_by):
        drawn = _draw(stratum, plan)
        for family in stratum:
            named = [one.split for one in family if one.split]
            split = named[0] if named else drawn[family[0].example_id]
            mended += sum(one != split for one in named)
            splits |= {one.example_id: split for one in family}
    return Sealing(splits, digest(sorted(splits.items())), mended)


def _strata(
    families: Sequence[Sequence[Example]], slice_name: str
) -> Iterator[list[Sequence[Example]]]:
    strata: dict[str, list[Sequence[Example]]] = defaultdict(list)
    for family in families:
        strata[family[0].slices.get(slice_name, "") if slice_name else ""].append(family)
    yield from strata.values()


def _draw(stratum: Sequence[Sequence[Example]], plan: SplitPlan) -> dict[str, str]:
    """First example's id -> split. Ordered by a hash: when they came does not matter."""
    free = [family for family in stratum if not any(one.split for one in family)]
    free.sort(key=lambda family: _mark(plan.seed, family[0].example_id))
    if not plan.shares:
        return {family[0].example_id: TEST for family in free}
    drawn: dict[str, str] = {}
    total, place = sum(map(len, free)), 0.0
    edges = _edges(plan.shares, total)
    for family in free:
        middle = place + len(family) / 2
        drawn[family[0].example_id] = next((name for name, edge in edges if middle <= edge), TRAIN)
        place += len(family)
    return drawn


def _edges(shares: Mapping[str, float], total: int) -> list[tuple[str, float]]:
    edges, place = [], 0.0
    for name, share in sorted(shares.items()):
        place += share * total
        edges.append((name, place))
    return edges


def _mark(seed: int, example_id: str) -> str:
    return hashlib.sha256(f"{seed}/{example_id}".encode()).hexdigest()


def _families(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples that must stay together, each family and all of them in the order of ids."""
    ordered = sorted(examples, key=lambda one: one.example_id)
    heads = list(range(len(ordered)))

    def head(place: int) -> int:
        while heads[place] != place:
            heads[place] = heads[heads[place]]
            place = heads[place]
        return place

    for first, second in _kin(ordered):
        one, other = sorted((head(first), head(second)))
        heads[other] = one
    families: dict[int, list[Example]] = defaultdict(list)
    for place, example in enumerate(ordered):
        families[head(place)].append(example)
    return list(families.values())


def _kin(ordered: Sequence[Example]) -> Iterator[tuple[int, int]]:
    """Pairs of one group, or of questions that say nearly the same."""
    groups: dict[str, int] = {}
    holders: dict[str, list[int]] = defaultdict(list)
    bags = [frozenset(content_words(one.question)) or frozenset([one.question]) for one in ordered]
    for place, (example, bag) in enumerate(zip(ordered, bags, strict=True)):
        if example.group:
            yield groups.setdefault(example.group, place), place
        # Sets this alike share one of any few of their words: the shortest lists suffice.
        rare = sorted(bag, key=lambda word: len(holders[word]))
        needed = len(bag) - int(NEARLY_THE_SAME * len(bag)) + 1
        for other in {other for word in rare[:needed] for other in holders[word]}:
            if len(bag & bags[other]) >= NEARLY_THE_SAME * len(bag | bags[other]):
                yield other, place
        for word in bag:
            holders[word].append(place)
