"""What is trained on and what is held back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gyre_retraining.domain.assembly import TRAIN, VALIDATION
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.similarity import Bag, bag, families

Family = list[Row]


def split(
    rows: Sequence[Row], *, share: float, near: float, seed: int, slices: Sequence[str]
) -> dict[str, list[Row]]:
    """`train` and `validation`, each in the order of row ids.

    Rows whose questions are nearly the same stay together; so do texts of one document. Slices
    keep their shares as far as whole families allow. With two families or more neither side is
    empty.
    """
    drawn = _draw(_in_strata(_families(rows, near), seed, slices), share)
    sides = {TRAIN: _others(rows, drawn), VALIDATION: drawn}
    return {name: sorted(side, key=lambda row: row.row_id) for name, side in sides.items()}


def _families(rows: Sequence[Row], near: float) -> list[Family]:
    ordered = sorted(rows, key=lambda row: row.row_id)
    heads = families([_kin(row) for row in ordered], near)
    found: dict[int, Family] = defaultdict(list)
    for head, row in zip(heads, ordered, strict=True):
        found[head].append(row)
    return list(found.values())


def _in_strata(given: Sequence[Family], seed: int, slices: Sequence[str]) -> list[Family]:
    """One stratum after the other, in each by chance."""

    def place(family: Family) -> tuple[list[str], str]:
        return [family[0].slices.get(name, "") for name in slices], family[0].mark(seed)

    return sorted(given, key=place)


def _draw(given: Sequence[Family], share: float) -> list[Row]:
    """Each family adds its part to a debt, and is drawn where that pays off half of itself: a
    stratum's share is right to within one family, and a big family is not drawn for a small
    share."""
    debt, drawn = 0.0, list[Family]()
    for family in given:
        debt += share * len(family)
        if 2 * debt >= len(family) and len(drawn) + 1 < len(given):
            drawn.append(family)
            debt -= len(family)
    if not drawn and len(given) > 1:
        drawn.append(min(given, key=len))
    return [row for family in drawn for row in family]


def _others(rows: Sequence[Row], drawn: Sequence[Row]) -> list[Row]:
    held = {row.row_id for row in drawn}
    return [row for row in rows if row.row_id not in held]


def _kin(row: Row) -> Bag:
    """Rows with nearly the same ones are of one family."""
    if row.question:
        return bag(row.question)
    return frozenset(source for kind, source in row.sources if kind == "document")
