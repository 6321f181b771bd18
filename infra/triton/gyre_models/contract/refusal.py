"""Errors with a stable prefix: gRPC codes are lost in Triton's stream mode, text is not."""

from __future__ import annotations

from enum import StrEnum


class Prefix(StrEnum):
    """The first word of every error message, in square brackets."""

    INVALID = "INVALID_ARGUMENT"
    PROMPT_TOO_LONG = "PROMPT_TOO_LONG"
    UNKNOWN_ADAPTER = "UNKNOWN_ADAPTER"
    QUEUE_FULL = "QUEUE_FULL"
    DEADLINE = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    STOPPING = "STOPPING"
    INTERNAL = "INTERNAL"

    @property
    def triton_code(self) -> str:
        """The name of the code in `pb_utils.TritonError`."""
        return _CODES[self]


_CODES = {
    Prefix.INVALID: "INVALID_ARG",
    Prefix.PROMPT_TOO_LONG: "INVALID_ARG",
    Prefix.UNKNOWN_ADAPTER: "INVALID_ARG",
    Prefix.QUEUE_FULL: "UNAVAILABLE",
    Prefix.DEADLINE: "UNAVAILABLE",
    Prefix.CANCELLED: "CANCELLED",
    Prefix.STOPPING: "UNAVAILABLE",
    Prefix.INTERNAL: "INTERNAL",
}


class Refusal(Exception):
    """A request that gets no (further) answer. str() is `[PREFIX] detail`."""

    def __init__(self, prefix: Prefix, detail: str) -> None:
        super().__init__(f"[{prefix.value}] {detail}")
        self.prefix = prefix


def invalid(detail: str) -> Refusal:
    return Refusal(Prefix.INVALID, detail)
