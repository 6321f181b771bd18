"""A row of a dataset, and what it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Source = tuple[str, str]
"""Kind and id: `answer`, `judgement`, `review`, `document`, `chunk` or `user`."""


@dataclass(frozen=True)
class Row:
    """question: what it asks; empty for texts. content: the form's columns. taught: texts that the
    model would learn to write, or to find. author: the account that wrote them; empty where no
    person did. accounts: whose judgements made it. subjects: kind -> id, for features.
    time: of the first judgement that made it, in seconds since 1970."""

    form: str
    question: str
    content: Mapping[str, Any]
    taught: tuple[str, ...]
    sources: tuple[Source, ...]
    language: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    accounts: tuple[str, ...] = ()
    subjects: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""
    time: float = 0.0

    @cached_property
    def row_id(self) -> str:
        """Of its content: the same again is the same row."""
        return digest([self.form, self.content])[:32]

    @cached_property
    def length(self) -> int:
        """Characters of all of its texts."""
        return sum(map(len, _texts(self.content)))

    def mark(self, seed: int) -> str:
        """A place in a draw: the same for the same row, whatever the others are."""
        return hashlib.sha256(f"{seed}/{self.row_id}".encode()).hexdigest()


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Oldest first; which of two alike is kept depends on it, so it must not depend on chance."""
    return sorted(rows, key=lambda row: (row.time, row.row_id, row.sources))


def canonical(value: Any) -> bytes:
    """The value's one JSON form."""
    text = json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
