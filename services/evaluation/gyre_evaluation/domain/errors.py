"""What can be wrong, in words for the one who can mend it."""

from __future__ import annotations

from collections.abc import Mapping


class RequestInvalid(Exception):
    """violations: field -> what is wrong with it."""

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {what}" for field, what in violations.items()))
        self.violations = dict(violations)


class DatasetUnknown(Exception):
    """The tenant has no such dataset or version."""


class DatasetSealed(Exception):
    """A sealed version changes no more."""


class DatasetNotReady(Exception):
    """The version is open or empty: the message says what to do."""


class RunUnknown(Exception):
    """The tenant has no such run."""


class ReplayUnknown(Exception):
    """The tenant has no such replay."""


class GateUnknown(Exception):
    """The tenant has no such gate."""


class PolicyUnknown(Exception):
    """The workload has no policy, or not this version."""


class GateNotPassed(Exception):
    """Only a gate that passed can be approved, only one that was decided has a report."""


class RunsDiffer(Exception):
    """Runs that cannot be compared; the message says why."""


class NotPossible(Exception):
    """The service is not set up for this; the message says which setting is missing."""
