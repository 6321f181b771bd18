"""Failures that the doors of a service understand."""

from __future__ import annotations


class PermanentError(Exception):
    """Raised by a handler: no repeat would help, so the event goes to the dead letters at once.

    reason: a short snake_case word that can be counted, e.g. `unknown_revision`.
    detail: one sentence for people, without content of documents.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Overloaded(Exception):
    """The service has no room for more; `retry_after` is in seconds."""

    def __init__(self, quota: str, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.quota = quota
        self.retry_after = retry_after
