"""Why something is refused; doors turn these into their own words."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """A judgement that will not be recorded. reason: a word that can be counted; violations:
    field -> what is wrong with it."""

    def __init__(
        self, reason: str, detail: str, violations: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.violations = violations or {}


class Invalid(Exception):
    """A request that breaks a rule; field -> what is wrong with it."""

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field} {what}" for field, what in violations.items()))
        self.violations = violations


class Missing(Exception):
    """What was asked for is not there; the message says what to do."""


class MetricTaken(Exception):
    """The metric is declared already, in another way."""
