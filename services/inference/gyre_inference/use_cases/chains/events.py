"""What a caller is told while a chain runs."""

from __future__ import annotations

from dataclasses import dataclass

from gyre_inference.domain.chain_runs import StepRecord


@dataclass(frozen=True)
class StepBegan:
    """A step begins."""

    step_id: str
    parent_step_id: str
    kind: str
    name: str


@dataclass(frozen=True)
class StepText:
    """Text to append to a step's. is_output: it is the chain's own."""

    step_id: str
    text: str
    is_output: bool


@dataclass(frozen=True)
class StepEnded:
    """A step ended; where runs are kept, it is durable by now."""

    record: StepRecord


StepEvent = StepBegan | StepText | StepEnded
