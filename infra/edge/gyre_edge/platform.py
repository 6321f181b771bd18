"""The platform's RPCs, as the edge uses them; failures are `GyreError`s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from gyre.embedding.v1.service_pb2 import EmbedResponse
from gyre.embedding.v1.service_pb2_grpc import EmbeddingServiceStub
from gyre.inference.v1.service_pb2 import AnswerStarted
from gyre.inference.v1.service_pb2_grpc import InferenceServiceStub
from gyre_client.errors import raising
from gyre_runtime.rpc import channel

from gyre_edge.chat import Done, Reply, answer_request, generate_request
from gyre_edge.embeddings import embed_requests
from gyre_edge.requests import ChatRequest
from gyre_edge.settings import Settings


class Replies:
    """One streamed answer; leaving `started` or `rest` early cancels it down to the model."""

    def __init__(self, call: Any, address: str) -> None:
        self._call, self._address = call, address
        self._events = aiter(call)

    async def started(self) -> AnswerStarted:
        """The first event: from here on the answer has its id."""
        try:
            with raising(self._address):
                first: Reply = await anext(self._events)
                return first.started
        except asyncio.CancelledError:
            self._call.cancel()
            raise

    async def rest(self) -> AsyncIterator[Reply]:
        """The events after the first one."""
        try:
            with raising(self._address):
                async for reply in self._events:
                    yield reply
        finally:
            self._call.cancel()

    async def done(self) -> Done:
        """The last event, with the whole text."""
        async for reply in self.rest():
            if reply.WhichOneof("event") == "done":
                return reply.done
        raise AssertionError("a stream without an error ends with `done`")


class Platform:
    """An async context manager; opened in the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> Platform:
        addresses = self._settings.inference_address, self._settings.embedding_address
        self._channels = [channel(address, self._settings) for address in addresses]
        self._inference = InferenceServiceStub(self._channels[0])
        self._embedding = EmbeddingServiceStub(self._channels[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._channels:
            await one.close()

    def chat(self, request: ChatRequest) -> Replies:
        """`answer` models answer from the documents, every other one talks plainly."""
        collection = request.collection
        call: Any = (
            self._inference.Generate(generate_request(request))
            if collection is None
            else self._inference.Answer(answer_request(request, collection))
        )
        return Replies(call, self._settings.inference_address)

    async def embed(self, texts: Sequence[str]) -> list[EmbedResponse]:
        """The replies in the order of the texts."""
        calls: Any = map(self._embedding.Embed, embed_requests(texts))
        with raising(self._settings.embedding_address):
            return list(await asyncio.gather(*calls))
