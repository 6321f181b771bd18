"""OpenAI's own client, unchanged, talks to the edge."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from edge_services import Services, queue_full
from gyre_edge.app import RestServer
from gyre_edge.platform import Platform
from gyre_edge.settings import Settings
from openai import AsyncOpenAI

QUESTION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "How long do I keep the SIM?"}]},
]


async def test_a_grounded_answer_comes_with_its_id_citations_and_overhead(
    client: AsyncOpenAI, services: Services
) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="answer/manuals",
        messages=QUESTION,
        max_completion_tokens=40,
        temperature=0,
        stop="END",
        user="u-7",
        metadata={"page": "porting"},
    )
    reply: Any = raw.parse()
    assert reply.id == raw.headers["gyre-answer-id"] == "a-1"
    assert float(raw.headers["gyre-overhead-ms"]) == reply.gyre["overhead_ms"] == 1.25
    assert reply.choices[0].message.content == "Keep the SIM for a day. [1]"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == 15
    assert reply.usage.prompt_tokens_details.cached_tokens == 2
    assert [one["document_id"] for one in reply.gyre["citations"]] == ["d-1"]
    (asked,) = services.asked
    assert (asked.question, asked.collection) == ("How long do I keep the SIM?", "manuals")
    assert (asked.parameters.max_tokens, asked.parameters.temperature) == (40, 0)
    assert (list(asked.parameters.stop), asked.end_user) == (["END"], "u-7")
    assert dict(asked.metadata) == {"page": "porting"}


async def test_plain_chat_passes_the_whole_conversation(
    client: AsyncOpenAI, services: Services
) -> None:
    reply = await client.chat.completions.create(model="gyre-reader", messages=QUESTION)
    assert reply.choices[0].finish_reason == "length"
    (asked,) = services.asked
    assert [one.role for one in asked.messages] == ["system", "user"]
    assert asked.model == "gyre-reader"
    assert not asked.parameters.HasField("temperature")


async def test_a_stream_says_its_id_first_and_its_usage_last(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="answer", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks: list[Any] = [chunk async for chunk in raw.parse()]
    assert raw.headers["gyre-answer-id"] == "a-1"
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "Keep the SIM for a day. [1]"
    assert len([text for text in texts if text]) == 3
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].gyre["citations"][0]["title"] == "Porting"
    assert chunks[-1].usage.completion_tokens == 4


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings_come_in_both_encodings(client: AsyncOpenAI, encoding: Any) -> None:
    raw = await client.embeddings.with_raw_response.create(
        model="all-minilm-l6-v2", input=["one", "three"], encoding_format=encoding
    )
    reply = raw.parse()
    assert [one.index for one in reply.data] == [0, 1]
    assert reply.usage.prompt_tokens == 6
    if encoding == "float":
        assert [one.embedding for one in reply.data] == [[3.0, 0.5], [5.0, 0.5]]
    else:
        assert reply.data[0].embedding == "AABAQAAAAD8="


async def test_many_texts_are_embedded_in_order(client: AsyncOpenAI, services: Services) -> None:
    texts = ["x" * (1 + number % 7) for number in range(600)]
    reply = await client.embeddings.create(model="all-minilm-l6-v2", input=texts)
    assert [one.embedding[0] for one in reply.data] == [len(text) for text in texts]
    assert sorted(len(asked.texts) for asked in services.asked) == [88, 256, 256]


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    listed = await client.models.list()
    assert [one.id for one in listed.data] == ["answer", "gyre-reader", "all-minilm-l6-v2"]


async def test_a_wrong_key_is_an_authentication_error(edge: str) -> None:
    async with AsyncOpenAI(base_url=edge, api_key="guessed", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="answer", messages=QUESTION)


async def test_a_full_queue_says_when_to_come_back(client: AsyncOpenAI, services: Services) -> None:
    services.fault = queue_full()
    with pytest.raises(openai.RateLimitError) as told:
        await client.chat.completions.create(model="answer", messages=QUESTION)
    assert told.value.response.headers["retry-after"] == "2"
    assert "queue is full" in str(told.value)


async def test_a_callers_trace_goes_on_to_the_services(
    client: AsyncOpenAI, services: Services
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await client.chat.completions.create(
        model="answer",
        messages=QUESTION,
        extra_headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"},
    )
    assert services.traceparent.split("-")[1] == trace


async def test_an_address_of_the_inside_is_not_told() -> None:
    nobody = "127.0.0.1:1"
    settings = Settings(edge_address="127.0.0.1:0", inference_address=nobody, edge_timeout=5)
    platform = Platform(settings)
    async with platform, RestServer(settings, platform) as server:
        base = f"http://127.0.0.1:{server.port}/v1"
        async with AsyncOpenAI(base_url=base, api_key="gyre-dev-key", max_retries=0) as client:
            with pytest.raises(openai.InternalServerError, match="does not answer") as told:
                await client.chat.completions.create(model="answer", messages=QUESTION)
    assert told.value.status_code == 503
    assert nobody not in str(told.value)


async def test_an_error_within_a_stream_reaches_the_client(
    client: AsyncOpenAI, services: Services
) -> None:
    services.fault, services.before_fault = queue_full(), 2
    stream = await client.chat.completions.create(model="answer", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="queue is full"):
        async for _ in stream:
            pass


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_cancels_the_call(
    client: AsyncOpenAI, services: Services, streams: bool
) -> None:
    services.endless = True

    async def ask() -> None:
        reply = await client.chat.completions.create(
            model="answer", messages=QUESTION, stream=streams
        )
        async for _ in reply:
            pass

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(150):
        await services.begun.wait()
        asking.cancel()
        await services.cancelled.wait()
    assert len(services.asked) == 1


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_name(
    client: AsyncOpenAI, services: Services, option: dict[str, Any], told: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        await client.chat.completions.create(**{"model": "answer", "messages": QUESTION, **option})
    assert services.asked == []


async def test_an_unknown_embedding_model_and_a_wrong_size_are_refused(
    client: AsyncOpenAI,
) -> None:
    with pytest.raises(openai.NotFoundError, match="all-minilm-l6-v2"):
        await client.embeddings.create(model="other", input="text")
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        await client.embeddings.create(model="all-minilm-l6-v2", input="text", dimensions=99)


async def test_a_body_above_the_limit_is_refused(client: AsyncOpenAI, services: Services) -> None:
    with pytest.raises(openai.APIStatusError) as told:
        await client.embeddings.create(model="all-minilm-l6-v2", input="x" * 30_000)
    assert told.value.status_code == 413
    assert services.asked == []


async def test_a_body_that_hides_its_length_is_refused_too(edge: str, services: Services) -> None:
    host, port = edge.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/embeddings HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n" + b"5000\r\n" + b"x" * 0x5000 + b"\r\n"
    )
    status = await asyncio.wait_for(reader.readline(), 150)
    writer.close()
    assert b" 413 " in status
    assert services.asked == []
