"""Why an answer could not be given, by canonical status name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class Fault(Exception):
    """The detail is one sentence for people; it never holds content or internals."""

    status: ClassVar[str] = "INTERNAL"

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        """retry_after: seconds after which a repeat may succeed; None where that is not known."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class InvalidRequest(Fault):
    """The request breaks a rule; `violations` says which, by field."""

    status = "INVALID_ARGUMENT"

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {why}" for field, why in violations.items()))
        self.violations = dict(violations)


class NotFound(Fault):
    """A prompt, a collection or a model that was named does not exist."""

    status = "NOT_FOUND"


class Conflict(Fault):
    """What is there now does not allow it."""

    status = "FAILED_PRECONDITION"


class Unavailable(Fault):
    """A neighbour does not answer; nothing is invented in its place."""

    status = "UNAVAILABLE"


class Overloaded(Fault):
    """A queue is full; the request was refused before any work was done for it."""

    status = "RESOURCE_EXHAUSTED"


class BudgetSpent(Fault):
    """A chain used all the tokens or the time that it may."""

    status = "RESOURCE_EXHAUSTED"


class DeadlinePassed(Fault):
    """The caller's time is over."""

    status = "DEADLINE_EXCEEDED"


class Abandoned(Fault):
    """The caller left."""

    status = "CANCELLED"


class Ended(Fault):
    """How an earlier run ended."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc]
