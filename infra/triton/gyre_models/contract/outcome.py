"""What an engine says about a request: deltas, then one outcome or one refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gyre_models.contract.refusal import Refusal


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Outcome:
    """The end of an answer. stop_reason: the stop word that ended it, or empty.

    Times in nanoseconds since arrival; log_probs one per output token, of the raw distribution.
    """

    finish_reason: FinishReason
    stop_reason: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    queue_ns: int
    first_token_ns: int
    total_ns: int
    log_probs: tuple[float, ...] | None = None


@dataclass
class Emission:
    """The part of an answer since the last one; the last carries an outcome or a refusal."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    outcome: Outcome | None = None
    refusal: Refusal | None = None

    @property
    def last(self) -> bool:
        return self.outcome is not None or self.refusal is not None

    def absorb(self, later: Emission) -> None:
        """Takes what came after; must not be called on a last one."""
        self.text += later.text
        self.token_ids += later.token_ids
        self.outcome, self.refusal = later.outcome, later.refusal
