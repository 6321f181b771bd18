"""A limit on what a client may send; the server itself has none."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gyre_edge import faults


class LimitedBody:
    """Refuses bodies above `limit` bytes: at once where the length is said, else on the way."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._said(scope) > self._limit:
            await faults.too_large(self._limit)(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _said(self, scope: Scope) -> int:
        length = Headers(scope=scope).get("content-length", "0")
        return int(length) if length.isdecimal() else 0

    def _counted(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise HTTPException(413, faults.TOO_LARGE.format(self._limit))
            return message

        return counted
