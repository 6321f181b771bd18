"""One answer that is being written: what was asked, where it stands, what it has said."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gyre_models.contract.outcome import Emission, FinishReason, Outcome
from gyre_models.contract.refusal import Refusal
from gyre_models.contract.request import GenerationRequest
from gyre_models.contract.text import TextStream


class Caller(Protocol):
    """Who asked. Both may be called from the loop thread only."""

    def send(self, emission: Emission) -> None:
        """Hands over a part of the answer; never waits."""

    def cancelled(self) -> bool:
        """True when nobody listens any more."""


@dataclass(eq=False, kw_only=True)
class Answer:
    """State of one request from arrival to its last emission. Times in ns of a monotonic clock.

    cached: prompt tokens that were not computed again.
    """

    request: GenerationRequest
    caller: Caller
    arrival: int
    prompt: Sequence[int]
    max_tokens: int
    text: TextStream
    cached: int = 0
    written: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    begun: int = 0
    first_token: int = 0
    flushed: int = 0
    ended: bool = False
    _pending: Emission = field(default_factory=Emission)

    @property
    def deadline(self) -> int | None:
        timeout = self.request.timeout_s
        return None if timeout is None else self.arrival + int(timeout * 1e9)

    def late(self, now: int) -> bool:
        return self.deadline is not None and now > self.deadline

    def write(self, token: int, end_ids: frozenset[int]) -> tuple[FinishReason, str] | None:
        """Takes a sampled token; returns how the answer ended, if it did."""
        if token in end_ids:
            return FinishReason.STOP, ""
        self.written.append(token)
        shown, stopped = self.text.push(token)
        self._pending.text += shown
        self._pending.token_ids.append(token)
        if stopped is not None:
            return FinishReason.STOP, stopped
        return (FinishReason.LENGTH, "") if len(self.written) >= self.max_tokens else None

    def due(self, now: int, pause_ms: int) -> bool:
        """Whether what is pending should travel now: at once at first, then every `pause_ms`."""
        return not self.flushed or now - self.flushed >= pause_ms * 1_000_000

    def flush(self, now: int) -> None:
        """Sends what is pending, if the caller wants parts."""
        if self.request.stream and (self._pending.text or self._pending.token_ids):
            self.caller.send(self._pending)
            self._pending = Emission()
        self.flushed = now

    def finish(self, reason: FinishReason, stop_reason: str = "") -> Outcome:
        """Sends the rest together with the outcome."""
        if not (reason is FinishReason.STOP and stop_reason):
            rest, stopped = self.text.finish()
            self._pending.text += rest
            if stopped:
                reason, stop_reason = FinishReason.STOP, stopped
        outcome = self._outcome(reason, stop_reason, time.monotonic_ns())
        self._pending.outcome, self.ended = outcome, True
        self.caller.send(self._pending)
        return outcome

    def refuse(self, refusal: Refusal) -> None:
        self.ended = True
        self.caller.send(Emission(refusal=refusal))

    def _outcome(self, reason: FinishReason, stop_reason: str, now: int) -> Outcome:
        begun, first = self.begun or now, self.first_token or now
        return Outcome(
            finish_reason=reason,
            stop_reason=stop_reason,
            input_tokens=len(self.prompt),
            output_tokens=len(self.written),
            cached_tokens=self.cached,
            queue_ns=begun - self.arrival,
            first_token_ns=first - self.arrival,
            total_ns=now - self.arrival,
            log_probs=tuple(self.log_probs) if self.request.return_log_probs else None,
        )
