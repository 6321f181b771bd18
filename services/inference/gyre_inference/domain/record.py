"""Everything known about an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gyre_inference.domain.citations import Citation
from gyre_inference.domain.generation import FinishReason, Message, Parameters, Usage
from gyre_inference.domain.passages import Passage

_SOURCE, _EVALUATION = "gyre.source", "evaluation"


@dataclass(frozen=True)
class Caller:
    """Who asks, as the credential says, and how long it will wait.

    deadline: on the monotonic clock, in seconds; None where the caller set none.
    """

    tenant: str
    principal: str
    trace_id: str = ""
    deadline: float | None = None


@dataclass(frozen=True)
class Labels:
    """What the client says about its request; recorded, never trusted."""

    conversation_id: str = ""
    end_user: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_a_runs(self) -> bool:
        """Whether an evaluation asks, no person. Whoever claims so falsely only leaves the
        experiments."""
        return self.metadata.get(_SOURCE) == _EVALUATION


@dataclass(frozen=True)
class Step:
    """One step of the chain; status is `ok` or a canonical status.

    input, output: JSON; empty where other fields of the record say it.
    """

    step_id: str
    kind: str
    name: str
    start: datetime
    end: datetime
    status: str = "ok"
    parent_step_id: str = ""
    input: str = ""
    output: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Timings:
    """Seconds; `first_token` is None when no token was sent. tools: other servers that steps of a
    chain asked."""

    total: float = 0.0
    first_token: float | None = None
    per_output_token: float = 0.0
    queue: float = 0.0
    retrieval: float = 0.0
    selection: float = 0.0
    model: float = 0.0
    tools: float = 0.0

    @property
    def overhead(self) -> float:
        """What the platform itself added."""
        others = self.retrieval + self.selection + self.model + self.tools
        return max(0.0, self.total - others)


@dataclass(frozen=True)
class AnswerRecord:
    """One answer, given or failed. question: what was asked, in the user's words.
    prompt_arguments: values are JSON."""

    answer_id: str
    chain_run_id: str
    workload: str
    caller: Caller
    labels: Labels
    request_time: datetime
    model: str
    question: str = ""
    steps: tuple[Step, ...] = ()
    chain: str = ""
    chain_version: str = ""
    experiment: str = ""
    variant: str = ""
    variant_share: float = 0.0
    prompt_name: str = ""
    prompt_version: str = ""
    prompt_arguments: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    completion: str = ""
    finish_reason: FinishReason | None = None
    model_version: str = ""
    config_hash: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    collection: str = ""
    passages: tuple[Passage, ...] = ()
    index_version: str = ""
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    guard_verdicts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Why an answer could not be given: canonical status and one sentence for people."""

    status: str
    detail: str
