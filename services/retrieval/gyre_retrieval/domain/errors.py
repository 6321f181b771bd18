"""What can be wrong, in words for the one who can mend it."""

from __future__ import annotations

from collections.abc import Mapping


class PartRefused(Exception):
    """A part that no repetition makes right. reason: one word for machines."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class QueryInvalid(Exception):
    """violations: field -> what is wrong with it."""

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {what}" for field, what in violations.items()))
        self.violations = dict(violations)


class CollectionUnknown(Exception):
    """The tenant has no collection of that name."""


class IndexUnknown(Exception):
    """The collection has no filled index of that name."""


class ChunkUnknown(Exception):
    """The tenant has no passage of that id in force."""


class EmbedderMismatch(Exception):
    """Vectors of one embedder meet an index of another one."""

    def __init__(self, given: str, expected: str) -> None:
        super().__init__(
            f"the vector is from {given}, the collection's index holds vectors of {expected}: "
            "load that embedder, or index the collection anew (gyre index reindex)"
        )
