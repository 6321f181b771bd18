"""Datasets, runs, comparisons and reports."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from gyre.evaluation.v1 import scores_pb2, service_pb2
from gyre.evaluation.v1.service_pb2_grpc import EvaluationServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import InvalidError, TimedOutError, raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.evaluation.v1.service_pb2_grpc import EvaluationServiceAsyncStub

BATCH = 200
WATCH_TIMEOUT = 3600.0
REPORT_TIMEOUT = 300.0
TargetKind = Literal["answer", "generate", "chain", "recorded", "search"]


@dataclass(frozen=True)
class Target:
    """What is evaluated; empty and None mean what is in force. index: of a `search` alone."""

    kind: TargetKind = "answer"
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

    def message(self) -> scores_pb2.Target:
        return scores_pb2.Target(**vars(self))


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset."""

    name: str
    version: int
    description: str
    sealed: bool
    examples: int
    splits: Mapping[str, int]
    content_hash: str
    leaks_mended: int

    @classmethod
    def read(cls, message: service_pb2.Dataset) -> Self:
        return cls(
            name=message.name,
            version=message.version,
            description=message.description,
            sealed=message.sealed,
            examples=message.examples,
            splits=dict(message.splits),
            content_hash=message.content_hash,
            leaks_mended=message.leaks_mended,
        )


@dataclass(frozen=True)
class MetricInfo:
    """A metric that can be asked for. direction: higher, lower or none."""

    name: str
    level: str
    direction: str
    source: str
    needs: tuple[str, ...]
    description: str

    @classmethod
    def read(cls, message: service_pb2.Metric) -> Self:
        return cls(
            name=message.name,
            level=_word(scores_pb2.MetricLevel.Name(message.level), "METRIC_LEVEL_"),
            direction=_word(scores_pb2.Direction.Name(message.direction), "DIRECTION_"),
            source=_word(scores_pb2.ScoreSource.Name(message.source), "SCORE_SOURCE_"),
            needs=tuple(message.needs),
            description=message.description,
        )


@dataclass(frozen=True)
class Summary:
    """One metric over a run. low, high: 95 % interval of the mean; None where there is none."""

    metric: str
    count: int
    mean: float | None
    low: float | None
    high: float | None
    errors: int
    direction: str


@dataclass(frozen=True)
class Run:
    """state: queued, running, succeeded, failed or cancelled. Seconds, tokens, currency."""

    run_id: str
    title: str
    state: str
    detail: str
    dataset: str
    dataset_version: int
    split: str
    examples: int
    done: int
    failures: int
    cached: int
    summaries: tuple[Summary, ...]
    latency_p50: float
    latency_p95: float
    input_tokens: int
    output_tokens: int
    cost: float | None
    target: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @classmethod
    def read(cls, message: service_pb2.Run) -> Self:
        costs = message.costs
        target = MessageToDict(message.target, preserving_proto_field_name=True)
        return cls(
            run_id=message.run_id,
            title=message.label or _title(message.target),
            state=_word(service_pb2.RunState.Name(message.state), "RUN_STATE_"),
            detail=message.detail,
            dataset=message.dataset,
            dataset_version=message.dataset_version,
            split=message.split,
            examples=message.examples,
            done=message.done,
            failures=message.failures,
            cached=message.cached,
            summaries=tuple(map(_summary, message.summaries)),
            latency_p50=costs.latency_p50.ToTimedelta().total_seconds(),
            latency_p95=costs.latency_p95.ToTimedelta().total_seconds(),
            input_tokens=costs.input_tokens,
            output_tokens=costs.output_tokens,
            cost=costs.cost_micros / 1e6 if costs.HasField("cost_micros") else None,
            target=target,
        )


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline. verdict: better, worse, not_worse or insufficient."""

    metric: str
    pairs: int
    baseline: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str

    @classmethod
    def read(cls, message: scores_pb2.MetricDifference) -> Self:
        ends = {
            name: _optional(message, name)
            for name in ("baseline", "candidate", "difference", "low", "high")
        }
        verdict = _word(scores_pb2.Verdict.Name(message.verdict), "VERDICT_")
        return cls(message.metric, message.pairs, verdict=verdict, **ends)


@dataclass(frozen=True)
class Comparison:
    """A candidate against the baseline."""

    baseline: Run
    candidate: Run
    differences: tuple[Difference, ...]


class Evaluation:
    """The caller's datasets and runs. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.evaluation_address
        self._metadata = channels.metadata
        self._timeout = settings.timeout
        self._stub: EvaluationServiceAsyncStub = EvaluationServiceStub(channels.to(self._address))

    async def metrics(self) -> list[MetricInfo]:
        """Every metric that can be asked for."""
        reply = await self._call(self._stub.ListMetrics, service_pb2.ListMetricsRequest())
        return [MetricInfo.read(one) for one in reply.metrics]

    async def upload_dataset(
        self,
        name: str,
        examples: Iterable[Mapping[str, Any]],
        *,
        description: str = "",
        shares: Mapping[str, float] | None = None,
        stratify_by: str = "",
        seed: int = 0,
    ) -> Dataset:
        """A new, sealed version. examples: fields of `Example`; `answer` is short for one
        reference, passages may be texts. Raises InvalidError that names the example."""
        made = await self.open_dataset(name, description=description)
        batch: list[service_pb2.Example] = []
        for place, given in enumerate(examples, start=1):
            batch.append(example_message(given, place))
            if len(batch) == BATCH:
                await self._add(made, batch)
                batch = []
        if batch:
            await self._add(made, batch)
        return await self.seal_dataset(made, shares=shares, stratify_by=stratify_by, seed=seed)

    async def open_dataset(
        self,
        name: str,
        *,
        description: str = "",
        recorded: service_pb2.AnswerFilter | None = None,
        reviews: service_pb2.ReviewFilter | None = None,
        base_version: int | None = None,
    ) -> Dataset:
        """A new version that takes examples; its first ones are from at most one source."""
        request = service_pb2.CreateDatasetRequest(
            name=name, description=description, creation_key=str(uuid.uuid4())
        )
        if recorded is not None:
            request.recorded_answers.CopyFrom(recorded)
        elif reviews is not None:
            request.reviews.CopyFrom(reviews)
        elif base_version is not None:
            request.base_version = base_version
        reply = await self._call(self._stub.CreateDataset, request)
        return Dataset.read(reply.dataset)

    async def seal_dataset(
        self,
        dataset: Dataset,
        *,
        shares: Mapping[str, float] | None = None,
        stratify_by: str = "",
        seed: int = 0,
    ) -> Dataset:
        """Splits, mends leaks and closes it for good."""
        request = service_pb2.SealDatasetRequest(
            name=dataset.name,
            version=dataset.version,
            shares=shares or {},
            stratify_by=stratify_by,
            seed=seed,
        )
        reply = await self._call(self._stub.SealDataset, request)
        return Dataset.read(reply.dataset)

    async def datasets(self, name: str = "") -> AsyncIterator[Dataset]:
        """All versions, or those of one dataset, newest first."""
        request = service_pb2.ListDatasetsRequest(name=name, page_size=200)
        while True:
            reply = await self._call(self._stub.ListDatasets, request)
            for one in reply.datasets:
                yield Dataset.read(one)
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                return

    async def examples(
        self, name: str, version: int = 0, *, split: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Examples as JSON holds them."""
        request = service_pb2.ListExamplesRequest(
            name=name, version=version, split=split, page_size=200
        )
        while True:
            reply = await self._call(self._stub.ListExamples, request)
            for one in reply.examples:
                yield MessageToDict(one, preserving_proto_field_name=True)
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                return

    async def start_run(
        self,
        dataset: str,
        target: Target | None = None,
        *,
        version: int = 0,
        split: str = "",
        metrics: Sequence[str] = (),
        label: str = "",
        limit: int = 0,
        ignore_cache: bool = False,
        baseline_run_id: str = "",
        creation_key: str = "",
    ) -> Run:
        """Starts it; `watch_run` tells how far it is. The same creation_key is the same run."""
        request = service_pb2.StartRunRequest(
            target=(target or Target()).message(),
            dataset=dataset,
            dataset_version=version,
            split=split,
            metrics=metrics,
            label=label,
            limit=limit,
            ignore_cache=ignore_cache,
            baseline_run_id=baseline_run_id,
            creation_key=creation_key or str(uuid.uuid4()),
        )
        reply = await self._call(self._stub.StartRun, request)
        return Run.read(reply.run)

    async def run(self, run_id: str) -> Run:
        request = service_pb2.GetRunRequest(run_id=run_id)
        return Run.read((await self._call(self._stub.GetRun, request)).run)

    async def runs(self, dataset: str = "", limit: int = 20) -> list[Run]:
        """The newest ones."""
        request = service_pb2.ListRunsRequest(dataset=dataset, page_size=limit)
        return [Run.read(one) for one in (await self._call(self._stub.ListRuns, request)).runs]

    async def cancel_run(self, run_id: str) -> Run:
        request = service_pb2.CancelRunRequest(run_id=run_id)
        return Run.read((await self._call(self._stub.CancelRun, request)).run)

    async def watch_run(self, run_id: str) -> AsyncIterator[Run]:
        """The run now and after each change, until it ended, however long that takes."""
        ended = False
        while not ended:
            try:
                async for run in self._watched(run_id):
                    yield run
                    ended = run.ended
            except TimedOutError:  # a stream has a longest time, a run has none
                continue

    async def _watched(self, run_id: str) -> AsyncIterator[Run]:
        request = service_pb2.WatchRunRequest(run_id=run_id)
        with raising(self._address):
            call = self._stub.WatchRun(request, metadata=self._metadata, timeout=WATCH_TIMEOUT)
            async for reply in call:
                yield Run.read(reply.run)

    async def compare(
        self, run_ids: Sequence[str], *, metrics: Sequence[str] = (), margin: float = 0.0
    ) -> list[Comparison]:
        """Each run against the first one, by paired bootstrap."""
        request = service_pb2.CompareRunsRequest(run_ids=run_ids, metrics=metrics, margin=margin)
        with raising(self._address):
            reply = await self._stub.CompareRuns(
                request, metadata=self._metadata, timeout=REPORT_TIMEOUT
            )
        baseline = Run.read(reply.baseline)
        return [
            Comparison(baseline, Run.read(one.run), tuple(map(Difference.read, one.differences)))
            for one in reply.comparisons
        ]

    async def report(self, run_ids: Sequence[str], *, html: bool = False) -> bytes:
        """Of one run, or of several side by side: JSON, or one page that needs nothing else."""
        kind = service_pb2.REPORT_FORMAT_HTML if html else service_pb2.REPORT_FORMAT_JSON
        request = service_pb2.GetReportRequest(run_ids=run_ids, format=kind)
        with raising(self._address):
            call = self._stub.GetReport(request, metadata=self._metadata, timeout=REPORT_TIMEOUT)
            return b"".join([piece.data async for piece in call])

    async def _add(self, dataset: Dataset, examples: Sequence[service_pb2.Example]) -> None:
        request = service_pb2.AddExamplesRequest(
            name=dataset.name, version=dataset.version, examples=examples
        )
        await self._call(self._stub.AddExamples, request)

    async def _call(self, method: Any, request: Any) -> Any:
        with raising(self._address):
            return await method(request, metadata=self._metadata, timeout=self._timeout)


def example_message(given: Mapping[str, Any], place: int) -> service_pb2.Example:
    """From a line that a person wrote. Raises InvalidError that names the line."""
    fields = {key: value for key, value in given.items() if key != "example_id"}
    if "answer" in fields:
        fields["references"] = [fields.pop("answer"), *fields.get("references", [])]
    fields["passages"] = [
        {"text": one} if isinstance(one, str) else one for one in fields.get("passages", [])
    ]
    try:
        return ParseDict(fields, service_pb2.Example())
    except (ParseError, TypeError) as error:
        raise InvalidError("INVALID_ARGUMENT", f"example {place}: {error}") from error


def _summary(message: scores_pb2.MetricSummary) -> Summary:
    return Summary(
        metric=message.metric,
        count=message.count,
        mean=_optional(message, "mean"),
        low=_optional(message, "low"),
        high=_optional(message, "high"),
        errors=message.errors,
        direction=_word(scores_pb2.Direction.Name(message.direction), "DIRECTION_"),
    )


def _optional(message: Any, name: str) -> float | None:
    return float(getattr(message, name)) if message.HasField(name) else None


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def _title(target: scores_pb2.Target) -> str:
    prompt = "@".join(filter(None, (target.prompt_name, target.prompt_version)))
    chain = "@".join(filter(None, (target.chain, target.chain_version)))
    what = f"prompt {prompt}" if prompt else " ".join(filter(None, (target.kind, chain)))
    heat = f"t={target.temperature:g}" if target.HasField("temperature") else ""
    return ", ".join(filter(None, (what, target.model, heat)))
