"""One run of a chain while it goes on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gyre_inference.domain.chain_runs import StepRecord
from gyre_inference.domain.chains import Budget, Chain, Step
from gyre_inference.domain.choice import Choice
from gyre_inference.domain.faults import BudgetSpent
from gyre_inference.domain.generation import FinishReason, Parameters, Usage
from gyre_inference.domain.prompts import Prompt
from gyre_inference.use_cases.ledger import Ledger

# A timer may end a little before the clock says so.
_EARLY = 0.01
Keep = Callable[[StepRecord], Awaitable[None]]


@dataclass(frozen=True)
class Writing:
    """What a step writes with, known before the run begins. prompt: None for plain chat."""

    model: str
    parameters: Parameters
    prompt: Prompt | None


@dataclass
class Scope:
    """Names that templates see, and where steps stand: `each[2].` before their names."""

    values: dict[str, object]
    path: str = ""
    parent: str = ""

    def inside(self, step_id: str, place: str = "", **more: object) -> Scope:
        """For the steps of a step."""
        return Scope({**self.values, **more}, f"{step_id}{place}.", step_id)


@dataclass
class Run:
    """choice: of the request or the experiment, for the chain's own text. keep: makes a step
    durable before it is told; None where the answer's record is enough. recorded: steps of an
    earlier, interrupted run."""

    chain: Chain
    ledger: Ledger
    inputs: Mapping[str, object]
    budget: Budget
    choice: Choice = field(default_factory=Choice)
    keep: Keep | None = None
    recorded: Mapping[str, StepRecord] = field(default_factory=dict)
    writings: dict[str, Writing] = field(default_factory=dict)
    finished: bool = False
    output: object = None

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.budget.seconds
        self._tokens = sum(step.usage.tokens for step in self.recorded.values())

    @property
    def tokens_left(self) -> int:
        """Raises `BudgetSpent` where there are none."""
        left = self.budget.tokens - self._tokens
        if left <= 0:
            raise BudgetSpent(f"the chain's budget of {self.budget.tokens} tokens is spent")
        return left

    @property
    def time_left(self) -> float:
        """Seconds, of the budget or until the caller's deadline. Raises `BudgetSpent`."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise BudgetSpent(f"the chain's budget of {self.budget.seconds:g} s is spent")
        deadline = self.ledger.time_left
        return left if deadline is None else min(left, deadline)

    @property
    def is_over_budget(self) -> bool:
        """Whether it was the budget's time, not the caller's, that ended."""
        return time.monotonic() >= self._end - _EARLY

    def spend(self, usage: Usage) -> None:
        """Tokens that a model used."""
        self._tokens += usage.tokens

    def finish(self, output: object, reason: FinishReason) -> None:
        """No further step runs."""
        self.finished, self.output = True, output
        self.ledger.know(finish_reason=reason)


@dataclass
class Doing:
    """One step while it is done. given: its arguments. output, usage: what it came to."""

    step: Step
    step_id: str
    scope: Scope
    run: Run
    given: Mapping[str, object] = field(default_factory=dict)
    output: object = None
    usage: Usage = field(default_factory=Usage)

    @property
    def is_output(self) -> bool:
        """Whether its text is the chain's own."""
        return self.step.name in self.run.chain.output_steps
