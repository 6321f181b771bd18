"""Filters of rows, in their order: each says how many it left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.decontamination import Contamination, EvaluationSet
from gyre_retraining.domain.poisoning import is_poisoned, planted
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.sifting import FilterCount
from gyre_retraining.domain.similarity import Bag, Near, bag, overlap, shingles

Filter = Callable[[Sequence[Row]], list[Row]]


def filter_rows(
    rows: Sequence[Row], settings: AssemblySettings, sets: Iterable[EvaluationSet]
) -> tuple[list[Row], list[FilterCount]]:
    """What is left, and what each filter left out.

    In order: `poisoned`, `too_long`, `duplicate`, `contaminated`, `account_cap`, `slice_cap`,
    `maximum_rows`. What harms is gone before anything is counted against a cap.
    """
    kept, counts = list(rows), list[FilterCount]()
    for name, sieve in _filters(settings, sets):
        left = sieve(kept)
        counts.append(FilterCount(name, len(kept) - len(left)))
        kept = left
    return kept, counts


def _filters(
    settings: AssemblySettings, sets: Iterable[EvaluationSet]
) -> Iterable[tuple[str, Filter]]:
    return (
        ("poisoned", lambda rows: without_poison(rows, settings)),
        ("too_long", lambda rows: [row for row in rows if row.length <= settings.longest]),
        ("duplicate", lambda rows: without_duplicates(rows, settings.near)),
        ("contaminated", lambda rows: without_contaminated(rows, settings, sets)),
        ("account_cap", lambda rows: capped_accounts(rows, settings)),
        ("slice_cap", lambda rows: capped_slices(rows, settings)),
        ("maximum_rows", lambda rows: at_most(rows, settings)),
    )


def without_poison(rows: Sequence[Row], settings: AssemblySettings) -> list[Row]:
    plants = planted(rows, settings)
    return [
        row for row in rows if row.row_id not in plants and not is_poisoned(row, settings.triggers)
    ]


def without_duplicates(rows: Sequence[Row], near: float) -> list[Row]:
    """The first of those whose questions are nearly the same and that teach nearly the same."""
    questions, kept, seen = Near(near), list[Row](), set[str]()
    taught: list[Bag] = []
    for row in rows:
        says = frozenset[str]().union(*map(shingles, row.taught))
        asks = bag(row.question) if row.question else says
        alike = [place for place in questions.find(asks) if _label(kept[place]) is _label(row)]
        if row.row_id in seen or any(overlap(says, taught[place]) >= near for place in alike):
            continue
        questions.add(asks)
        taught.append(says)
        seen.add(row.row_id)
        kept.append(row)
    return kept


def without_contaminated(
    rows: Sequence[Row], settings: AssemblySettings, sets: Iterable[EvaluationSet]
) -> list[Row]:
    if not settings.decontaminate:
        return list(rows)
    contamination = Contamination(sets, settings.run_length, settings.near)
    return [row for row in rows if not contamination.holds(row)]


def capped_accounts(rows: Sequence[Row], settings: AssemblySettings) -> list[Row]:
    """No account has a hand in more than `account_cap` rows; which ones is drawn."""
    given: Counter[str] = Counter()
    kept: set[str] = set()
    for row in _drawn(rows, settings):
        if all(given[one] < settings.account_cap for one in row.accounts):
            given.update(row.accounts)
            kept.add(row.row_id)
    return [row for row in rows if row.row_id in kept]


def capped_slices(rows: Sequence[Row], settings: AssemblySettings) -> list[Row]:
    """No value of a slice has more than `slice_cap` of the rows, or than an equal share where
    there are too few values for that."""
    left = list(rows)
    for name in settings.slices:
        sizes = Counter(row.slices.get(name, "") for row in left)
        limit = _limit(list(sizes.values()), settings.slice_cap)
        taken: dict[str, int] = defaultdict(int)
        kept: set[str] = set()
        for row in _drawn(left, settings):
            value = row.slices.get(name, "")
            if taken[value] < limit:
                taken[value] += 1
                kept.add(row.row_id)
        left = [row for row in left if row.row_id in kept]
    return left


def at_most(rows: Sequence[Row], settings: AssemblySettings) -> list[Row]:
    if not 0 < settings.maximum_rows < len(rows):
        return list(rows)
    kept = {row.row_id for row in _drawn(rows, settings)[: settings.maximum_rows]}
    return [row for row in rows if row.row_id in kept]


def _limit(sizes: Sequence[int], cap: float) -> int:
    """The most rows of one value by which none has more than its share of what is left."""
    share = max(cap, 1 / len(sizes)) if sizes else 1.0
    low, high = min(sizes, default=0), max(sizes, default=0)
    while low < high:  # the largest value's share grows with the limit
        middle = (low + high + 1) // 2
        left = sum(min(size, middle) for size in sizes)
        low, high = (middle, high) if middle <= share * left + 1e-9 else (low, middle - 1)
    return low


def _drawn(rows: Sequence[Row], settings: AssemblySettings) -> list[Row]:
    return sorted(rows, key=lambda row: (row.mark(settings.seed), row.row_id))


def _label(row: Row) -> bool | None:
    """A thumb up and a thumb down on one text are no duplicates."""
    label = row.content.get("label")
    return None if label is None else bool(label)
