"""The whole service in process: real gRPC, the bus in memory, its own database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.rpc import error_details_pb2, status_pb2
from gyre.evaluation.v1.events_pb2 import AnswerEvaluated
from gyre.evaluation.v1.scores_pb2 import SCORE_SOURCE_RULE, MetricScore
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.events_pb2 import FeedbackSubmitted
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceStub
from gyre.inference.v1.events_pb2 import (
    AnswerFailed,
    AnswerGenerated,
    AnswerRecord,
    RetrievedChunk,
)
from gyre_feedback.adapters.memory import MemoryFeatureStore
from gyre_feedback.adapters.tables import MIGRATIONS, metadata
from gyre_feedback.app import build
from gyre_feedback.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.process import Service
from gyre_runtime.settings import ApiKey

KEYS = {
    "shop": ApiKey(tenant="acme", principal="shop", roles=frozenset({"feedback"})),
    "writer": ApiKey(tenant="acme", principal="writer", roles=frozenset({"writer"})),
    "operator": ApiKey(tenant="acme", principal="olga", roles=frozenset({"operator"})),
    "rita": ApiKey(tenant="acme", principal="rita", roles=frozenset({"reviewer"})),
    "stranger": ApiKey(tenant="globex", principal="shop", roles=frozenset({"admin"})),
}


class World:
    """The service, its bus and its callers."""

    def __init__(self, service: Service, exchange: MemoryExchange, stub: Any) -> None:
        self.service, self.exchange, self.stub = service, exchange, stub
        self.link = MemoryLink(exchange)

    async def call(self, method: str, request: Any, key: str = "shop") -> Any:
        metadata = (("authorization", f"Bearer {key}"),)
        return await getattr(self.stub, method)(request, metadata=metadata, timeout=30)

    async def publish(self, event: Any, tenant: str = "acme", **headers: str) -> None:
        said = compose(event, tenant=tenant, entity_id="e", cause=None)
        values = said.headers | headers
        if "ce-id" in headers:
            values["Nats-Msg-Id"] = headers["ce-id"]
        await self.link.publish(
            [Outgoing(said.event_id, said.subject, said.stream, values, said.body)]
        )

    async def settle(self) -> None:
        await self.exchange.settled()

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(150):
            while True:
                if found := await condition():
                    return found
                await asyncio.sleep(0.05)

    async def declare(self) -> None:
        metrics = (
            pb.Metric(name="helpful", type=pb.METRIC_TYPE_BOOLEAN),
            pb.Metric(name="stars", type=pb.METRIC_TYPE_NUMBER, minimum=1, maximum=5),
            pb.Metric(
                name="tone", type=pb.METRIC_TYPE_CATEGORY, categories=["rude", "plain", "kind"]
            ),
            pb.Metric(name="useful", type=pb.METRIC_TYPE_BOOLEAN, level=pb.FEEDBACK_LEVEL_CHUNK),
        )
        for metric in metrics:
            await self.call("DeclareMetric", wire.DeclareMetricRequest(metric=metric), "writer")


def feedback(feedback_id: str = "f-1", **given: Any) -> pb.Feedback:
    chunk = given.pop("chunk_id", "")
    target = pb.FeedbackTarget(answer_id=given.pop("answer_id", "a-1"), chunk_id=chunk)
    value = given.pop("value", pb.FeedbackValue(boolean=True))
    return pb.Feedback(
        **{"feedback_id": feedback_id, "target": target, "metric": "helpful", "value": value}
        | given
    )


def record(answer_id: str = "a-1") -> AnswerRecord:
    return AnswerRecord(
        answer_id=answer_id,
        prompt_name="answer",
        prompt_version="1",
        model="reader",
        collection="help",
        completion="Five pounds.",
        question="What does it cost?",
        metadata={"language": "en", "segment": "students"},
        retrieved_chunks=[RetrievedChunk(chunk_id="c-1", document_id="d-1", rank=1)],
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/feedback.db",
        api_keys=KEYS,
        projection_pause=0.05,
        features_pause=0.05,
        review_sample=0.0,
        features_folder=tmp_path / "features",
    )
    exchange = MemoryExchange()
    database = Database(str(settings.database_url), metadata, migrations=MIGRATIONS)
    bus = Bus(settings, "feedback", database=database, link=MemoryLink(exchange))
    service = build(settings, bus=bus, database=database, features=MemoryFeatureStore())
    await service.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
        made = World(service, exchange, FeedbackServiceStub(channel))
        await made.declare()
        yield made
    await service.stop()


async def submit(world: World, given: pb.Feedback, key: str = "shop") -> wire.KeptFeedback:
    reply = await world.call("SubmitFeedback", wire.SubmitFeedbackRequest(feedback=given), key)
    return reply.feedback


async def listed(world: World, key: str = "writer", **given: Any) -> list[wire.KeptFeedback]:
    reply = await world.call("ListFeedback", wire.ListFeedbackRequest(**given), key)
    return list(reply.feedback)


async def test_feedback_by_rpc_is_joined_with_its_answer_from_the_bus(world: World) -> None:
    kept = await submit(world, feedback())
    assert (kept.state, kept.principal) == (pb.FEEDBACK_STATE_WAITING, "shop")
    await world.publish(AnswerGenerated(record=record()))
    await world.settle()
    (kept,) = await listed(world)
    assert kept.state == pb.FEEDBACK_STATE_RECORDED
    assert (kept.answer.prompt_name, kept.answer.segment) == ("answer", "students")


async def test_feedback_without_an_id_gets_one(world: World) -> None:
    kept = await submit(world, feedback(""))
    assert kept.feedback.feedback_id


async def test_feedback_on_a_failed_answer_is_joined_too(world: World) -> None:
    await submit(world, feedback())
    await world.publish(AnswerFailed(record=record(), status="UNAVAILABLE"))
    await world.settle()
    (kept,) = await listed(world)
    assert kept.answer.failed


async def test_feedback_by_the_bus_is_of_whom_the_publisher_calls_itself(world: World) -> None:
    await world.publish(AnswerGenerated(record=record()))
    await world.publish(FeedbackSubmitted(feedback=feedback()), **{"ce-source": "web"})
    await world.settle()
    (kept,) = await listed(world)
    assert (kept.principal, kept.state) == ("bus:web", pb.FEEDBACK_STATE_RECORDED)


async def test_a_publisher_that_calls_itself_this_service_is_heard_like_any_other(
    world: World,
) -> None:
    await world.publish(FeedbackSubmitted(feedback=feedback()), **{"ce-source": "gyre/feedback"})
    await world.settle()
    (kept,) = await listed(world)
    assert kept.principal == "bus:gyre/feedback"


async def test_feedback_by_the_bus_as_json_is_understood(world: World) -> None:
    event = FeedbackSubmitted(feedback=feedback())
    said = compose(event, tenant="acme", entity_id="e", cause=None)
    headers = {"Content-Type": "application/json"}
    body = MessageToJson(event).encode()
    await world.link.publish([Outgoing(said.event_id, said.subject, said.stream, headers, body)])
    await world.settle()
    (kept,) = await listed(world)
    assert kept.principal == "bus:unknown"


async def test_a_publisher_on_the_bus_cannot_pass_for_an_authenticated_caller(world: World) -> None:
    await submit(world, feedback())
    edit = feedback(revision=2, value=pb.FeedbackValue(boolean=False))
    await world.publish(FeedbackSubmitted(feedback=edit), **{"ce-source": "shop"})
    await world.settle()
    kept = {one.principal: one.feedback.value.boolean for one in await listed(world)}
    assert kept == {"shop": True, "bus:shop": False}


async def test_feedback_by_the_bus_is_withdrawn_by_a_higher_revision(world: World) -> None:
    await world.publish(FeedbackSubmitted(feedback=feedback()), **{"ce-source": "web"})
    gone = FeedbackSubmitted(feedback=feedback(revision=2), withdrawn=True)
    await world.publish(gone, **{"ce-source": "web"})
    await world.settle()
    (kept,) = await listed(world)
    assert kept.state == pb.FEEDBACK_STATE_WITHDRAWN


async def test_bad_feedback_by_the_bus_is_told_as_rejected_and_lies_in_the_dead_letters(
    world: World,
) -> None:
    await world.publish(FeedbackSubmitted(feedback=feedback(metric="unheard")))
    await world.settle()

    async def told() -> Any:
        return await _said(world, "feedback_rejected")

    assert len(await world.until(told)) == 1
    assert await listed(world) == []


async def test_bad_feedback_by_rpc_says_which_field_is_wrong(world: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await submit(world, feedback(metric="stars", value=pb.FeedbackValue(number=9)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert _violations(caught.value) == {"value": "must be 1 to 5"}


async def test_a_conflicting_revision_by_rpc_says_what_to_send(world: World) -> None:
    await submit(world, feedback())
    with pytest.raises(grpc.aio.AioRpcError, match="send revision 2"):
        await submit(world, feedback(value=pb.FeedbackValue(boolean=False)))


async def test_strange_feedback_by_the_bus_is_set_aside_and_its_neighbour_is_kept(
    world: World,
) -> None:
    late = feedback("f-1")
    late.give_time.seconds = 10**15
    for strange in (late, feedback(""), feedback("f-2", revision=-1), pb.Feedback()):
        await world.publish(FeedbackSubmitted(feedback=strange), **{"ce-source": "a%00b"})
    await world.publish(FeedbackSubmitted(feedback=feedback("f-9")), **{"ce-source": "a%00b"})
    await world.settle()

    async def told() -> Any:
        return len(await _said(world, "feedback_rejected")) == 4

    assert await world.until(told)
    (kept,) = await listed(world)
    assert (kept.principal, kept.feedback.feedback_id) == ("bus:a_b", "f-9")


async def test_a_question_that_holds_a_nul_is_kept(world: World) -> None:
    strange = record()
    strange.question = "Why\x00?"
    strange.metadata["segment"] = "s\x00"
    await world.publish(AnswerGenerated(record=strange))
    await world.settle()
    request = wire.AddReviewItemRequest(answer_id="a-1")
    reply = await world.call("AddReviewItem", request, "writer")
    assert (reply.item.question, reply.item.about.segment) == ("Why\ufffd?", "s\ufffd")


@pytest.mark.parametrize("method", ["ListFeedback", "Summarize", "ListQuarantine"])
async def test_a_page_token_that_is_none_is_refused(world: World, method: str) -> None:
    request = getattr(wire, f"{method}Request")(page_token="nonsense")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.call(method, request, "operator")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_tenants_see_nothing_of_one_another(world: World) -> None:
    await submit(world, feedback())
    assert await listed(world, "stranger") == []
    with pytest.raises(grpc.aio.AioRpcError, match="not declared"):
        await submit(world, feedback(), "stranger")
    request = wire.WithdrawFeedbackRequest(feedback_id="f-1")
    with pytest.raises(grpc.aio.AioRpcError, match="gave no feedback"):
        await world.call("WithdrawFeedback", request, "stranger")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("DecideQuarantine", wire.DecideQuarantineRequest()),
        ("ListFeedback", wire.ListFeedbackRequest()),
        ("NextReviewItem", wire.NextReviewItemRequest()),
        ("DeclareMetric", wire.DeclareMetricRequest()),
    ],
)
async def test_a_backend_that_may_only_judge_may_do_nothing_else(
    world: World, method: str, request_: Any
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.call(method, request_)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_an_operator_takes_back_what_another_gave(world: World) -> None:
    await submit(world, feedback())
    request = wire.WithdrawFeedbackRequest(feedback_id="f-1", principal="shop")
    reply = await world.call("WithdrawFeedback", request, "operator")
    assert reply.feedback.state == pb.FEEDBACK_STATE_WITHDRAWN
    with pytest.raises(grpc.aio.AioRpcError, match="only an operator"):
        await world.call("WithdrawFeedback", request, "rita")


async def test_a_metric_is_declared_once_and_for_all(world: World) -> None:
    other = pb.Metric(name="helpful", type=pb.METRIC_TYPE_NUMBER)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.call("DeclareMetric", wire.DeclareMetricRequest(metric=other), "writer")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    reply = await world.call("ListMetrics", wire.ListMetricsRequest())
    names = [one.name for one in reply.metrics]
    assert names == ["comment", "correction", "helpful", "stars", "tone", "useful"]


async def test_lists_are_paged(world: World) -> None:
    for number in range(5):
        await submit(world, feedback(f"f-{number}"))
    seen: list[str] = []
    token = ""
    while True:
        request = wire.ListFeedbackRequest(page_size=2, page_token=token)
        reply = await world.call("ListFeedback", request, "writer")
        seen += [one.feedback.feedback_id for one in reply.feedback]
        token = reply.next_page_token
        if not token:
            break
    assert seen == [f"f-{number}" for number in (4, 3, 2, 1, 0)]


async def test_scores_and_features_follow_from_judgements(world: World) -> None:
    await world.publish(AnswerGenerated(record=record()))
    await world.settle()
    await submit(world, feedback())
    await submit(world, feedback("f-2", metric="tone", value=pb.FeedbackValue(category="plain")))
    chosen = feedback("f-3", metric="useful", chunk_id="c-1")
    await submit(world, chosen)

    async def features() -> Any:
        row = wire.FeatureRow(entity_id="c-1", metric="useful")
        request = wire.GetFeaturesRequest(kind=wire.ENTITY_KIND_CHUNK, rows=[row])
        reply = await world.call("GetFeatures", request, "writer")
        return reply.rows[0].values

    values = await world.until(features)
    assert values["judgements"] == 1
    reply = await world.call("Summarize", wire.SummarizeRequest(), "writer")
    means = {(one.entity_id, one.metric): one.mean for one in reply.scores}
    assert means == {("answer/1", "helpful"): 1.0, ("answer/1", "tone"): 0.5}
    segment = wire.SummarizeRequest(kind=wire.ENTITY_KIND_SEGMENT)
    (score, _) = (await world.call("Summarize", segment, "writer")).scores
    assert (score.entity_id, score.cap) == ("students", pytest.approx(0.05))


async def test_quarantine_is_listed_and_decided_by_an_operator(world: World) -> None:
    await world.publish(AnswerGenerated(record=record()))
    await world.settle()
    await submit(world, feedback("f-1"))
    await submit(world, feedback("f-2"))

    async def held() -> Any:
        reply = await world.call("ListQuarantine", wire.ListQuarantineRequest(), "operator")
        return list(reply.feedback)

    (kept,) = await world.until(held)
    assert (kept.feedback.feedback_id, kept.reason) == ("f-2", "duplicate")
    request = wire.DecideQuarantineRequest(
        names=[wire.FeedbackName(feedback_id="f-2", principal="shop")],
        decision=wire.QUARANTINE_DECISION_RELEASE,
    )
    assert (await world.call("DecideQuarantine", request, "operator")).decided_count == 1
    assert await held() == []


async def test_an_evaluated_answer_is_reviewed_and_exported(world: World) -> None:
    await world.publish(AnswerGenerated(record=record()))
    await world.settle()
    score = MetricScore(metric="groundedness", score=0.1, source=SCORE_SOURCE_RULE)
    await world.publish(AnswerEvaluated(answer_id="a-1", scores=[score]))
    await world.settle()
    reply = await world.call("NextReviewItem", wire.NextReviewItemRequest(), "rita")
    assert reply.item.question == "What does it cost?"
    done = wire.CompleteReviewRequest(item_id=reply.item.item_id, labels={"correct": "right"})
    assert (await world.call("CompleteReview", done, "rita")).item.review_count == 1
    records = await _exported(world)
    assert records[0]["reviews"][0]["labels"] == {"correct": "right"}
    assert len(await _said(world, "review_completed")) == 1


async def test_imported_reviews_are_counted_once(world: World) -> None:
    record_ = {"answer_id": "x", "reviews": [{"reviewer": "r", "labels": {"correct": "right"}}]}

    async def messages() -> AsyncIterator[wire.ImportReviewsRequest]:
        for _ in range(2):
            request = wire.ImportReviewsRequest(format=wire.REVIEW_FORMAT_JSONL)
            request.record.update(record_)
            yield request

    reply = await world.call("ImportReviews", messages(), "operator")
    assert (reply.item_count, reply.review_count) == (1, 1)


async def test_the_migrations_make_the_tables_that_the_code_declares(world: World) -> None:
    database = world.service.database
    assert database is not None
    async with database.reading() as connection:
        made = await connection.run_sync(_columns)
    declared = {
        name: {column.name for column in table.columns} for name, table in metadata.tables.items()
    }
    assert {name: made[name] for name in declared} == declared


def _columns(connection: sa.Connection) -> dict[str, set[str]]:
    inspector = sa.inspect(connection)
    return {
        name: {column["name"] for column in inspector.get_columns(name)}
        for name in inspector.get_table_names()
    }


async def _said(world: World, event: str) -> list[str]:
    database = world.service.database
    assert database is not None
    outbox = database.tables.outbox
    query = sa.select(outbox.c.event_id).where(outbox.c.subject.contains(f".{event}."))
    async with database.reading() as connection:
        return list(await connection.scalars(query))


async def _exported(world: World) -> list[dict[str, Any]]:
    metadata = (("authorization", "Bearer rita"),)
    call = world.stub.ExportReviews(wire.ExportReviewsRequest(), metadata=metadata, timeout=30)
    return [_plain(reply.record) async for reply in call]


def _plain(record_: Any) -> dict[str, Any]:
    plain: dict[str, Any] = MessageToDict(record_)
    return plain


def _violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad):
            return {one.field: one.description for one in bad.field_violations}
    return {}
