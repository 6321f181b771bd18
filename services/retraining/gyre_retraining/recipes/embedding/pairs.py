"""Rows of form `pairs` into what the loss takes. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Pair:
    """A question, a passage judged good for it, and passages judged bad for it."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()


def pairs_of(rows: Iterable[Mapping[str, Any]]) -> list[Pair]:
    """In the order of the rows, each question and passage once."""
    once: dict[tuple[str, str], Pair] = {}
    for row in rows:
        pair = Pair(row["query"], row["positive"], tuple(row["negatives"] or ()))
        once.setdefault((pair.query, pair.positive), pair)
    return list(once.values())


def grouped(pairs: Sequence[Pair], most: int, smallest: int) -> dict[str, Columns]:
    """Columns `query`, `positive`, `negative_1` ... of the pairs that have as many negatives.

    most: negatives that a row brings along. A group of fewer than `smallest` rows gives up a
    negative and joins the group below, because a row's other negatives are those of its batch.
    """
    groups: dict[int, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(min(len(pair.negatives), most), []).append(pair)
    for count in range(most, 0, -1):
        if len(groups.get(count, ())) < smallest:
            groups.setdefault(count - 1, []).extend(groups.pop(count, ()))
    return {f"negatives_{n}": _columns(rows, n) for n, rows in sorted(groups.items()) if rows}


def _columns(pairs: Iterable[Pair], count: int) -> Columns:
    columns: dict[str, list[str]] = {"query": [], "positive": []}
    columns |= {f"negative_{n + 1}": [] for n in range(count)}
    for pair in pairs:
        texts = (pair.query, pair.positive, *pair.negatives[:count])
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    return columns
