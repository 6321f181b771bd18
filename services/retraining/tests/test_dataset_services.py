"""What the assembly asks of other services: pages to their end, keys, and plain failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from gyre.evaluation.v1 import service_pb2 as exams
from gyre.evaluation.v1.service_pb2_grpc import (
    EvaluationServiceServicer,
    add_EvaluationServiceServicer_to_server,
)
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1 import service_pb2 as feedback
from gyre.feedback.v1.service_pb2_grpc import (
    FeedbackServiceServicer,
    add_FeedbackServiceServicer_to_server,
)
from gyre_retraining.adapters import evaluation_sets, metric_scales
from gyre_retraining.adapters.evaluation_sets import ServiceEvaluationSets
from gyre_retraining.adapters.feature_history import FeastFeatureHistory
from gyre_retraining.adapters.memory_datasets import MemoryEvaluationSets, MemoryFeatureHistory
from gyre_retraining.adapters.metric_scales import ServiceMetricScales
from gyre_retraining.app import no_key
from gyre_retraining.dataset_ports import (
    AssemblyUnavailable,
    EvaluationSets,
    FeatureAsked,
    FeatureHistory,
)
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.scales import Scale
from gyre_retraining.domain.trainings import TrainingImpossible
from gyre_runtime.rpc import TenantKeys
from gyre_runtime.settings import RuntimeSettings
from pydantic import SecretStr

KEYS = TenantKeys({"acme": SecretStr("key-acme")}, no_key)
SETS = [
    EvaluationSet(
        "exam", number, f"hash-{number}", tuple(f"q{number}-{n}" for n in range(5)), ("r",)
    )
    for number in (1, 2, 3)
]


class Exams(EvaluationServiceServicer):
    """Pages of one or two; open versions without examples and examples to train on among them."""

    async def ListDatasets(self, request: Any, context: Any) -> Any:  # noqa: N802
        await _authorize(context)
        known = [*(_dataset(one) for one in SETS), exams.Dataset(name="empty", version=1)]
        first = int(request.page_token or 0)
        token = str(first + 1) if first + 1 < len(known) else ""
        return exams.ListDatasetsResponse(datasets=known[first : first + 1], next_page_token=token)

    async def GetDataset(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = [one for one in SETS if (one.name, one.version) == (request.name, request.version)]
        if not found:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such dataset")
        return exams.GetDatasetResponse(dataset=_dataset(found[0]))

    async def ListExamples(self, request: Any, context: Any) -> Any:  # noqa: N802
        await _authorize(context)
        (one,) = [known for known in SETS if known.version == request.version]
        asked = [exams.Example(question=text, references=["r"]) for text in one.questions]
        asked.append(exams.Example(question="to train on", split="train"))
        first = int(request.page_token or 0)
        token = str(first + 2) if first + 2 < len(asked) else ""
        return exams.ListExamplesResponse(examples=asked[first : first + 2], next_page_token=token)


def _dataset(one: EvaluationSet) -> exams.Dataset:
    return exams.Dataset(
        name=one.name, version=one.version, examples=6, content_hash=one.content_hash
    )


class Metrics(FeedbackServiceServicer):
    async def ListMetrics(self, request: Any, context: Any) -> Any:  # noqa: N802
        await _authorize(context)
        if not request.page_token:
            first = pb.Metric(name="grade", type=pb.METRIC_TYPE_CATEGORY, categories=["a", "b"])
            return feedback.ListMetricsResponse(metrics=[first], next_page_token="1")
        slow = pb.Metric(
            name="slow",
            type=pb.METRIC_TYPE_NUMBER,
            direction=pb.METRIC_DIRECTION_LESS_IS_BETTER,
            minimum=1,
            maximum=5,
        )
        words = pb.Metric(name="words", direction=pb.METRIC_DIRECTION_NONE)
        return feedback.ListMetricsResponse(metrics=[slow, words])


async def _authorize(context: Any) -> None:
    if dict(context.invocation_metadata()).get("authorization") != "Bearer key-acme":
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who is it?")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_EvaluationServiceServicer_to_server(Exams(), server)  # type: ignore[no-untyped-call]
    add_FeedbackServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture(params=["memory", "service"])
async def sets(request: pytest.FixtureRequest, address: str) -> AsyncIterator[EvaluationSets]:
    if request.param == "memory":
        yield MemoryEvaluationSets({"acme": list(reversed(SETS))})
        return
    async with ServiceEvaluationSets(address, RuntimeSettings(), KEYS) as service:
        yield service


async def test_every_version_of_every_set_is_read_to_its_end(sets: EvaluationSets) -> None:
    assert await sets.all("acme") == SETS


async def test_named_versions_are_read_and_a_missing_one_is_a_failure(
    sets: EvaluationSets,
) -> None:
    assert await sets.named("acme", [("exam", 3), ("exam", 1)]) == [SETS[0], SETS[2]]
    with pytest.raises(AssemblyUnavailable):
        await sets.named("acme", [("exam", 9)])


async def test_metrics_are_read_as_they_are_declared(address: str) -> None:
    async with ServiceMetricScales(address, RuntimeSettings(), KEYS) as scales:
        assert await scales.all("acme") == {
            "grade": Scale(categories=("a", "b")),
            "slow": Scale(more_is_better=False, minimum=1.0, maximum=5.0),
            "words": Scale(moves=False),
        }


async def test_a_service_that_does_not_answer_is_asked_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (evaluation_sets, metric_scales):
        monkeypatch.setattr(module, "TIMEOUT", 0.2)
    nowhere = "127.0.0.1:1"
    async with ServiceEvaluationSets(nowhere, RuntimeSettings(), KEYS) as away:
        with pytest.raises(AssemblyUnavailable, match="evaluation"):
            await away.all("acme")
    async with ServiceMetricScales(nowhere, RuntimeSettings(), KEYS) as gone:
        with pytest.raises(AssemblyUnavailable, match="feedback"):
            await gone.all("acme")


async def test_a_tenant_without_a_key_cannot_be_trained(address: str) -> None:
    async with ServiceEvaluationSets(address, RuntimeSettings(), KEYS) as service:
        with pytest.raises(TrainingImpossible, match="no_key"):
            await service.all("globex")


def asked(kind: str, entity: str, time: float) -> FeatureAsked:
    return FeatureAsked(kind, entity, "helpful", time)


KNOWN = [("model", "m/1", 1_800_000_100.0, 0.6), ("chunk", "c1", 1_800_000_200.0, 0.2)]


@pytest.fixture(params=["memory", "feast"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureHistory:
    if request.param == "memory":
        twin = MemoryFeatureHistory()
        for kind, entity, time, score in KNOWN:
            values = {"score": score, "accounts": 4.0}
            twin.rows.append(("acme", asked(kind, entity, time), values))
        return twin
    store = pytest.importorskip("gyre_features.store")
    features = store.Features(store.Place(tmp_path))
    for kind, entity, time, score in KNOWN:
        row = {"tenant": "acme", "entity_id": entity, "metric": "helpful", "event_time": time}
        values = {"score": score, "mean": score, "judgements": 4.0, "accounts": 4.0, "votes": 4.0}
        features.write(kind, [row | values], "1-1")
    return FeastFeatureHistory(tmp_path)


async def test_features_are_as_they_were_known_in_the_order_asked_for(
    history: FeatureHistory,
) -> None:
    found = await history.then(
        "acme",
        [
            asked("chunk", "c1", 1_800_000_250.0),
            asked("model", "m/1", 1_800_000_099.0),
            asked("model", "m/1", 1_800_000_150.0),
            asked("chunk", "c9", 1_800_000_250.0),
        ],
    )
    assert [one.get("score") for one in found] == [0.2, None, 0.6, None]
    assert found[0]["accounts"] == 4.0
    assert (await history.then("globex", [asked("chunk", "c1", 2e9)]))[0] == {}


async def test_a_folder_without_a_history_is_no_feature_store(tmp_path: Path) -> None:
    with pytest.raises(AssemblyUnavailable, match="no history"):
        await FeastFeatureHistory(tmp_path).then("acme", [asked("chunk", "c1", 1.0)])
