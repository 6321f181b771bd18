"""The door, over real gRPC in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from gyre.inference.v1 import answer_pb2, service_pb2, service_pb2_grpc
from gyre_inference.adapters.memory import MemoryThrottles
from gyre_inference.app import ROLES
from gyre_inference.domain.faults import Overloaded, Unavailable
from gyre_inference.rpc import InferenceServicer
from gyre_inference.use_cases.throttling import Throttling
from gyre_runtime.rpc import RpcServer
from gyre_runtime.settings import ApiKey, RuntimeSettings
from inference_world import World, until

COST = service_pb2.AnswerRequest(question="How many cents does every megabyte cost outside?")
HELLO = service_pb2.GenerateRequest(
    messages=[answer_pb2.ChatMessage(role="user", content="Say hello to all.")]
)
READER = (("authorization", "Bearer reader-key"),)


@dataclass
class Door:
    world: World
    stub: service_pb2_grpc.InferenceServiceStub

    async def answer(
        self, request: Message, metadata: tuple[tuple[str, str], ...] = READER
    ) -> list[service_pb2.AnswerResponse]:
        call = self.stub.Answer(request, timeout=10, metadata=metadata)
        return [reply async for reply in call]


@pytest.fixture
async def door(world: World) -> AsyncIterator[Door]:
    keys = {
        "reader-key": ApiKey(tenant="acme", principal="ada", roles=frozenset({"reader"})),
        "writer-key": ApiKey(tenant="acme", principal="wim", roles=frozenset({"writer"})),
    }
    throttling = Throttling(MemoryThrottles(), pause=1.0, failed=print)
    server = RpcServer(RuntimeSettings(api_keys=keys, stop_timeout=1), service="inference")
    server.add(
        service_pb2_grpc.add_InferenceServiceServicer_to_server,
        InferenceServicer(world.answers, world.texts, world.chains, throttling),
        service_pb2.DESCRIPTOR.services_by_name["InferenceService"],
        roles=ROLES,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Door(world, service_pb2_grpc.InferenceServiceStub(channel))
    await server.stop()


def detail(error: grpc.aio.AioRpcError, kind: type[Message]) -> Message:
    packed: bytes = dict(error.trailing_metadata())["grpc-status-details-bin"]
    for any_ in status_pb2.Status.FromString(packed).details:
        found = kind()
        if Packed.Unpack(any_, found):
            return found
    raise AssertionError(f"no {kind.DESCRIPTOR.name}")


async def test_an_answer_is_started_then_text_then_done(door: Door) -> None:
    replies = await door.answer(COST)
    kinds = [reply.WhichOneof("event") for reply in replies]
    assert kinds == ["started", *["text_delta"] * (len(kinds) - 2), "done"]
    done = replies[-1].done
    assert done.text == "".join(reply.text_delta for reply in replies)
    assert done.finish_reason == answer_pb2.FINISH_REASON_STOP
    assert replies[0].started.model == "gyre-reader"
    assert done.usage.output_tokens > 0


async def test_a_citation_names_document_heading_page_and_place(door: Door) -> None:
    (cited,) = (await door.answer(COST))[-1].done.citations
    assert (cited.number, cited.document_id, cited.revision) == (1, "roaming", 3)
    assert (cited.title, cited.source_uri) == ("Roaming", "help/roaming.md")
    assert (list(cited.heading_path), cited.page) == (["Abroad", "Prices"], 2)
    assert cited.sentence == "Outside of it every megabyte costs 9 cents."
    assert cited.sentence_end - cited.sentence_start == len(cited.sentence)


async def test_the_platforms_own_time_is_told(door: Door) -> None:
    timings = (await door.answer(COST))[-1].done.timings
    parts = (timings.retrieval, timings.selection, timings.model, timings.overhead)
    total = sum(part.ToTimedelta().total_seconds() for part in parts)
    assert total == pytest.approx(timings.total.ToTimedelta().total_seconds(), abs=1e-4)
    assert timings.HasField("time_to_first_token")


async def test_tenant_and_principal_come_from_the_credential(door: Door) -> None:
    await door.answer(COST)
    (record,) = door.world.records.answers
    assert (record.caller.tenant, record.caller.principal) == ("acme", "ada")
    assert record.caller.deadline is not None
    assert len(record.caller.trace_id) in (0, 32)


async def test_only_readers_may_ask(door: Door) -> None:
    for metadata, code in (
        ((("authorization", "Bearer writer-key"),), grpc.StatusCode.PERMISSION_DENIED),
        ((), grpc.StatusCode.UNAUTHENTICATED),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.answer(COST, metadata)
        assert refused.value.code() is code


async def test_broken_rules_come_as_field_violations(door: Door) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.answer(service_pb2.AnswerRequest(top_k=99))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    request = detail(refused.value, error_details_pb2.BadRequest)
    assert isinstance(request, error_details_pb2.BadRequest)
    assert {one.field for one in request.field_violations} == {"question", "top_k"}


async def test_a_full_queue_says_when_to_come_again(door: Door) -> None:
    door.world.model.fault = Overloaded("the model's queue is full", retry_after=1.5)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.answer(COST)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = detail(refused.value, error_details_pb2.RetryInfo)
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500


async def test_search_that_is_down_is_said_so(door: Door) -> None:
    door.world.search.fault = Unavailable("search does not answer, so nothing can be answered")
    with pytest.raises(grpc.aio.AioRpcError, match="search does not answer") as refused:
        await door.answer(COST)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_leaves_stops_the_model_and_is_recorded(door: Door) -> None:
    door.world.model.pause = 0.02
    call = door.stub.Answer(COST, timeout=10, metadata=READER)
    async for reply in call:
        if reply.WhichOneof("event") == "text_delta":
            break
    call.cancel()
    await until(lambda: door.world.records.failures)
    assert door.world.records.failures[0][1].status == "CANCELLED"
    assert door.world.model.stopped


async def test_a_deadline_stops_the_model_and_is_recorded(door: Door) -> None:
    door.world.model.pause = 10
    call = door.stub.Generate(HELLO, timeout=0.2, metadata=READER)
    with pytest.raises(grpc.aio.AioRpcError) as passed:
        [reply async for reply in call]
    assert passed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: door.world.records.failures)
    assert door.world.records.failures[0][1].status == "DEADLINE_EXCEEDED"
    (request,) = door.world.model.asked
    assert request.timeout is not None
    assert request.timeout <= 0.2


async def test_generate_streams_and_reports_its_usage(door: Door) -> None:
    request = service_pb2.GenerateRequest(
        messages=HELLO.messages,
        parameters=answer_pb2.GenerationParameters(max_tokens=2, temperature=0, seed=0),
    )
    replies = [r async for r in door.stub.Generate(request, timeout=10, metadata=READER)]
    assert replies[-1].done.text == "Say hello "
    assert replies[-1].done.finish_reason == answer_pb2.FINISH_REASON_LENGTH
    parameters = door.world.model.asked[0].parameters
    assert (parameters.temperature, parameters.seed, parameters.top_p) == (0, 0, None)


async def test_arguments_are_told_where_they_are_wanted_and_answered_from_again(door: Door) -> None:
    plain = (await door.answer(COST))[-1].done
    wanted = service_pb2.AnswerRequest(question=COST.question, tell_arguments=True)
    told = (await door.answer(wanted))[-1].done
    assert not plain.prompt_arguments
    assert set(told.prompt_arguments) == {"question", "language", "sentences"}
    wanted.prompt_arguments.update(told.prompt_arguments)
    again = (await door.answer(wanted))[-1].done
    assert again.text == told.text
    assert [one.sentence for one in again.citations] == [one.sentence for one in told.citations]
