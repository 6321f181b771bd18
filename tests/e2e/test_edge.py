"""OpenAI's own client against the running platform."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gyre_client import Document
from gyre_local.settings import REPOSITORY
from openai import AsyncOpenAI

from tests.platform.running import RunningPlatform

QUESTION = "How long do I have to keep the old SIM after porting my number?"


@pytest.fixture
async def client(platform: RunningPlatform) -> AsyncIterator[AsyncOpenAI]:
    base = f"http://{platform.environment['GYRE_EDGE_ADDRESS']}/v1"
    async with AsyncOpenAI(base_url=base, api_key="key-of-acme") as opened:
        yield opened


async def test_an_answer_is_streamed_with_the_documents_it_cites(
    client: AsyncOpenAI, demo: dict[str, Document]
) -> None:
    stream = await client.chat.completions.create(
        model="answer", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    chunks: list[Any] = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    (cited, *_) = chunks[-1].gyre["citations"]
    assert cited["document_id"] in {one.document_id for one in demo.values()}
    assert cited["sentence"] in text
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_example_of_the_page_runs(
    platform: RunningPlatform, demo: dict[str, Document], capsys: pytest.CaptureFixture[str]
) -> None:
    page = (REPOSITORY / "infra" / "edge" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    address = platform.environment["GYRE_EDGE_ADDRESS"]
    example = example.replace("127.0.0.1:8080", address).replace("gyre-dev-key", "key-of-acme")
    exec(compile(example, "README.md", "exec"), {})
    assert "document_id" in capsys.readouterr().out


async def test_embeddings_are_those_of_the_platform(client: AsyncOpenAI) -> None:
    made = await client.embeddings.create(model="all-minilm-l6-v2", input=["one", "two"])
    assert [len(one.embedding) for one in made.data] == [384, 384]
    assert made.usage.prompt_tokens > 0


async def test_plain_chat_reaches_the_language_model(client: AsyncOpenAI) -> None:
    listed = [one.id for one in (await client.models.list()).data]
    reply = await client.chat.completions.create(
        model=listed[1], messages=[{"role": "user", "content": "Hello"}], max_tokens=4
    )
    assert reply.id
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 4
