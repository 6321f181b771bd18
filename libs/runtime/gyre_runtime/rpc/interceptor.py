"""Puts the door around all four kinds of method."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from gyre_runtime.rpc.door import Context, Door, Method

OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Any]


class DoorInterceptor(grpc.aio.ServerInterceptor):
    """Health and reflection are open to everyone."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(details)
        name: str = details.method
        if handler is None or name.startswith(OPEN):
            return handler
        if name not in self._wrapped:
            self._wrapped[name] = self._wrap(handler, name)
        return self._wrapped[name]

    def _wrap(self, handler: Handler, name: str) -> Handler:
        method = Method(name, streams=handler.response_streaming)
        kind = (handler.request_streaming, handler.response_streaming)
        kinds: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }
        make, behaviour = kinds[kind]
        around = self._streaming if handler.response_streaming else self._unary
        wrapped: Handler = make(
            around(behaviour, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _unary(self, behaviour: Behaviour, method: Method) -> Behaviour:
        async def serve(request: Any, context: Context) -> Any:
            async with self._door.serving(method, context):
                return await behaviour(request, context)

        return serve

    def _streaming(self, behaviour: Behaviour, method: Method) -> Behaviour:
        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._door.serving(method, context):
                replies = behaviour(request, context)
                if inspect.isawaitable(replies):  # a servicer that writes to the context itself
                    await replies
                    return
                async for reply in replies:
                    yield reply

        return serve
