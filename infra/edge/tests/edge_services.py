"""Servers of the edge's neighbours that speak the real contracts and fail when told to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from gyre.embedding.v1 import service_pb2 as embedding
from gyre.embedding.v1 import service_pb2_grpc as embedding_grpc
from gyre.inference.v1 import answer_pb2
from gyre.inference.v1 import service_pb2 as inference
from gyre.inference.v1 import service_pb2_grpc as inference_grpc
from gyre_runtime.rpc import RpcFault

WORDS = ("Keep ", "the SIM ", "for a day. [1]")


@dataclass
class Services(inference_grpc.InferenceServiceServicer, embedding_grpc.EmbeddingServiceServicer):
    """Remembers what it was asked; fails with `fault` after `before_fault` events."""

    asked: list[Any] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    fault: RpcFault | None = None
    before_fault: int = 0
    endless: bool = False
    traceparent: str = ""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def Answer(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for event in self._events(
            request, context, inference.AnswerResponse, self._answer_done()
        ):
            yield event

    async def Generate(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        done = inference.GenerateDone(
            finish_reason=answer_pb2.FINISH_REASON_LENGTH, usage=_usage(), text="".join(WORDS)
        )
        async for event in self._events(request, context, inference.GenerateResponse, done):
            yield event

    async def Embed(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        return embedding.EmbedResponse(
            embeddings=[
                embedding.Embedding(vector=struct.pack("<2f", len(text), 0.5), token_count=3)
                for text in request.texts
            ],
            embedder="all-minilm-l6-v2",
            dimension=2,
        )

    async def _events(self, request: Any, context: Any, kind: Any, done: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        self.traceparent = str(dict(context.invocation_metadata()).get("traceparent", ""))
        self.begun.set()
        events = [kind(started=inference.AnswerStarted(answer_id="a-1", model="gyre-reader"))]
        events += [kind(text_delta=word) for word in WORDS] + [kind(done=done)]
        try:
            for place, event in enumerate(events):
                if self.fault is not None and place == self.before_fault:
                    raise self.fault
                yield event
                if self.endless:
                    await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def _answer_done(self) -> Any:
        done = inference.AnswerDone(
            finish_reason=answer_pb2.FINISH_REASON_STOP, usage=_usage(), text="".join(WORDS)
        )
        done.citations.add(number=1, document_id="d-1", title="Porting", sentence="Keep the SIM.")
        done.timings.overhead.FromMicroseconds(1250)
        return done


def _usage() -> Any:
    return answer_pb2.TokenUsage(input_tokens=11, output_tokens=4, cached_tokens=2)


def queue_full() -> RpcFault:
    return RpcFault(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", retry_after=1.5)
