"""Runs: a target answers a dataset's examples, and each answer is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.examples import Example, digest
from gyre_evaluation.domain.metrics.case import Case, Cited, Evidence
from gyre_evaluation.domain.metrics.metric import Level, Metric, Need, Score
from gyre_evaluation.domain.originals import Original


class Kind(StrEnum):
    """How an example becomes an answer."""

    ANSWER = "answer"
    GENERATE = "generate"
    CHAIN = "chain"
    RECORDED = "recorded"
    SEARCH = "search"
    REPLAY = "replay"
    REPLAY_SEARCHED = "replay_searched"

    @property
    def replays(self) -> bool:
        """Whether recorded answers are given again."""
        return self in (Kind.REPLAY, Kind.REPLAY_SEARCHED)


class RunState(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Target:
    """What is evaluated. Empty or None means what the inference service has in force."""

    kind: Kind = Kind.ANSWER
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    chain: str = ""
    chain_version: str = ""
    collection: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    top_k: int = 0
    index: str = ""

    def __post_init__(self) -> None:
        if self.kind is Kind.CHAIN and not self.chain:
            raise RequestInvalid({"target.chain": "name the chain"})
        if self.index and self.kind is not Kind.SEARCH:
            raise RequestInvalid({"target.index": "only a search names an index"})
        if self.kind is Kind.SEARCH and (self.prompt_name or self.model):
            raise RequestInvalid({"target": "a search has no prompt and no model"})
        if self.top_k < 0 or self.top_k > 50:
            raise RequestInvalid({"target.top_k": "give 1 to 50, or 0 for the service's setting"})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def over(self, original: Original) -> Target:
        """What it leaves open is as it was recorded."""
        prompt = self.prompt_name, self.prompt_version
        if not self.prompt_name:
            prompt = original.prompt_name, original.prompt_version
        return replace(
            self,
            prompt_name=prompt[0],
            prompt_version=prompt[1],
            model=self.model or original.model,
            collection=self.collection or original.collection,
        )

    @property
    def title(self) -> str:
        """A few words for people."""
        prompt = "@".join(filter(None, (self.prompt_name, self.prompt_version)))
        chain = "@".join(filter(None, (self.chain, self.chain_version)))
        what = f"prompt {prompt}" if prompt else " ".join(filter(None, (self.kind.value, chain)))
        heat = "" if self.temperature is None else f"t={self.temperature:g}"
        return ", ".join(filter(None, (what, self.model, self.index, heat)))


def target_from(given: Mapping[str, Any]) -> Target:
    return Target(**{**given, "kind": Kind(given["kind"])})


@dataclass(frozen=True, slots=True)
class Produced:
    """An answer as the target gave it. refused: None where only the text can tell. Seconds; tokens.

    cost_micros: None where the model has no price. error: why there is no answer.
    """

    text: str = ""
    answer_id: str = ""
    model: str = ""
    refused: bool | None = None
    citations: tuple[Cited, ...] = ()
    passages: tuple[Evidence, ...] = ()
    seconds: float = 0.0
    first_text_seconds: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int | None = None
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def produced_from(given: Mapping[str, Any]) -> Produced:
    return Produced(
        **{
            **given,
            "citations": tuple(Cited(**one) for one in given["citations"]),
            "passages": tuple(Evidence(**one) for one in given["passages"]),
        }
    )


def found(passages: Sequence[Evidence], seconds: float) -> Produced:
    """What a search gave; its text says where from, for people."""
    places = (f"{rank}. {one.place}" for rank, one in enumerate(passages, start=1))
    return Produced("\n".join(places), refused=False, passages=tuple(passages), seconds=seconds)


@dataclass(frozen=True, slots=True)
class Item:
    """One example of a run, done. cached: the answer is from an earlier run."""

    example_id: str
    produced: Produced
    scores: Mapping[str, Score] = field(default_factory=dict)
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric over the answers of a run. low, high: 95 % interval of the mean."""

    metric: str
    count: int
    mean: float | None
    low: float | None
    high: float | None
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, tokens, millionths of the currency."""

    latency_p50: float = 0.0
    latency_p95: float = 0.0
    first_text_p50: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """limit: at most so many examples; 0 is all. detail: why it failed. replay_id: of the replay
    that it is a part of; empty means none."""

    run_id: str
    tenant: str
    author: str
    target: Target
    dataset: str
    dataset_version: int
    metrics: tuple[str, ...]
    create_time: datetime
    split: str = ""
    label: str = ""
    limit: int = 0
    ignore_cache: bool = False
    concurrency: int = 0
    baseline_run_id: str = ""
    replay_id: str = ""
    state: RunState = RunState.QUEUED
    detail: str = ""
    examples: int = 0
    done: int = 0
    failures: int = 0
    cached: int = 0
    summaries: tuple[Summary, ...] = ()
    costs: Costs = Costs()
    end_time: datetime | None = None

    @property
    def title(self) -> str:
        return self.label or self.target.title


def cache_key(tenant: str, target: Target, stamp: str, example: Example) -> str:
    """The same key, the same answer. stamp: what `Target` leaves open (the prompt version in force,
    the model's and the index's version): an answer of other files must not be taken."""
    given: Any = example.recorded_answer if target.kind is Kind.RECORDED else ""
    if target.kind is Kind.REPLAY and example.original:
        given = [example.original.arguments, example.original.messages]
    return digest([tenant, target.as_json(), stamp, example.question, given])


def case_of(example: Example, produced: Produced, kind: Kind = Kind.ANSWER) -> Case:
    """The example's own passages count before those of the search, except where a search is what
    is judged."""
    searched = kind is Kind.SEARCH
    own = () if searched else example.passages
    return Case(
        question=example.question,
        answer=produced.text,
        references=example.references,
        passages=own or produced.passages,
        relevant_ids=frozenset(example.relevant_ids),
        unanswerable=example.unanswerable,
        refused=produced.refused,
        citations=produced.citations,
        language=example.language,
        searched=searched,
    )


def _has_passages(example: Example) -> bool:
    return bool(example.passages or (example.original and example.original.passages))


def fitting(metrics: Sequence[Metric], examples: Sequence[Example], target: Target) -> list[str]:
    """Names of the metrics that at least one example can be scored by."""
    finds = target.kind in (Kind.ANSWER, Kind.CHAIN, Kind.SEARCH)
    has = {
        Need.REFERENCES: any(one.references for one in examples),
        Need.PASSAGES: finds or any(_has_passages(one) for one in examples),
        Need.RELEVANT: any(one.relevant_ids for one in examples),
        Need.CITATIONS: True,
        Need.BASELINE: False,  # asked for by name alone
    }
    judged = (one for one in metrics if judges(one, target.kind))
    return [metric.name for metric in judged if all(has[need] for need in metric.needs)]


def judges(metric: Metric, kind: Kind) -> bool:
    """Whether it says something of such a target: a search gives passages and no answer."""
    return kind is not Kind.SEARCH or metric.level is Level.RETRIEVAL
