"""The REST door: OpenAI's paths, each one call of an RPC with the caller's own credential."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from gyre_client.errors import GyreError
from gyre_runtime.rpc.call import Call, current_call
from gyre_runtime.telemetry.traces import context_of
from opentelemetry.context import attach

from gyre_edge import faults
from gyre_edge.body import LimitedBody
from gyre_edge.chat import Completion, overhead_ms
from gyre_edge.embeddings import embeddings
from gyre_edge.platform import Platform
from gyre_edge.requests import ANSWER, ChatRequest, EmbeddingsRequest
from gyre_edge.settings import Settings

ANSWER_ID = "gyre-answer-id"
OVERHEAD = "gyre-overhead-ms"
EVENTS = "text/event-stream"
T = TypeVar("T")


def rest(settings: Settings, platform: Platform) -> FastAPI:
    """The application; `/docs` shows it to people."""

    async def calling(request: Request) -> None:
        """Every RPC made for the request carries its credential, its deadline and its trace."""
        authorization = request.headers.get("authorization", "")
        current_call.set(Call(authorization, time.monotonic() + settings.edge_timeout))
        attach(context_of(request.headers.get("traceparent", "")))

    app = FastAPI(title="gyre", description=__doc__ or "", dependencies=[Depends(calling)])
    app.add_middleware(LimitedBody, limit=settings.edge_body_limit)
    for kind, handler in faults.HANDLERS.items():
        app.add_exception_handler(kind, handler)
    _about(app, settings)
    _chat(app, platform)
    _embeddings(app, platform, settings.embedding_model)
    return app


def _about(app: FastAPI, settings: Settings) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        names = (ANSWER, settings.language_model, settings.embedding_model)
        listed = [{"id": one, "object": "model", "created": 0, "owned_by": "gyre"} for one in names]
        return {"object": "list", "data": listed}


def _chat(app: FastAPI, platform: Platform) -> None:
    @app.post("/v1/chat/completions")
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        replies = platform.chat(body)
        completion = Completion.begun(await _unless_left(request, replies.started()))
        headers = {ANSWER_ID: completion.answer_id}
        if body.stream:
            chunks = completion.chunks(replies.rest(), body.stream_options.include_usage)
            return StreamingResponse(_events(chunks), headers=headers, media_type=EVENTS)
        done = await _unless_left(request, replies.done())
        headers[OVERHEAD] = str(overhead_ms(done))
        return JSONResponse(completion.whole(done), headers=headers)


def _embeddings(app: FastAPI, platform: Platform, model: str) -> None:
    @app.post("/v1/embeddings")
    async def create_embeddings(body: EmbeddingsRequest) -> Response:
        if body.model != model:
            raise faults.no_model(body.model, model)
        replies = await platform.embed(body.texts)
        dimension, embedder = replies[0].dimension, replies[0].embedder
        if body.dimensions not in (None, dimension):
            raise faults.wrong_dimension(dimension)
        return JSONResponse(embeddings(replies, body.encoding_format, embedder))


async def _events(chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
    """Server-sent events; an error ends them without the closing mark."""
    try:
        async for chunk in chunks:
            yield f"data: {json.dumps(chunk)}\n\n"
    except GyreError as error:
        yield f"data: {json.dumps(faults.body_of(error))}\n\n"
    else:
        yield "data: [DONE]\n\n"


async def _unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; when the client goes away first, the work is cancelled."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise GyreError("CANCELLED", "the client went away")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    """The body is read by now: what comes next is the end of the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
