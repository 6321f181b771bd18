"""A channel to another server, opened when the process starts and closed when it ends."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

StubT = TypeVar("StubT")


class Connection(Generic[StubT]):
    """An aio channel belongs to the event loop it was made in, so it cannot be made before."""

    def __init__(
        self, open_channel: Callable[[], grpc.aio.Channel], stub: Callable[[Any], StubT]
    ) -> None:
        self._open_channel = open_channel
        self._make_stub = stub
        self._channel: grpc.aio.Channel | None = None
        self._stub: StubT | None = None

    @property
    def stub(self) -> StubT:
        """Raises RuntimeError before the process has started."""
        if self._stub is None:
            raise RuntimeError("the connection is not open: enter it first")
        return self._stub

    async def __aenter__(self) -> Self:
        self._channel = self._open_channel()
        self._stub = self._make_stub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close()
