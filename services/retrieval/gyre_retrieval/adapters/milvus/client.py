"""Calls to Milvus: within a time, with errors that the stories understand."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import grpc
from gyre_runtime.rpc import RECONNECTING

from gyre_retrieval.adapters.milvus.vendor import (
    AsyncMilvusClient,
    ErrorCode,
    MilvusClient,
    MilvusException,
)
from gyre_retrieval.ports import IndexMissing, IndexUnavailable

Result = TypeVar("Result")

NOT_FOUND = 100
NOT_LOADED = 101
UNREACHABLE = frozenset({2, ErrorCode.RATE_LIMIT, ErrorCode.FORCE_DENY})
GRPC_UNREACHABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
CHANNEL = {
    **dict(RECONNECTING),
    "grpc.min_reconnect_backoff_ms": 100,
    # pymilvus pings every 10 s; a gRPC server in C, as Milvus Lite's, takes one in 5 minutes and
    # hangs up on the third ("too_many_pings"). A dead peer is found by the next call: its bytes
    # are not acknowledged within `keepalive_timeout`.
    "grpc.keepalive_time_ms": 330_000,
    "grpc.keepalive_permit_without_calls": False,
}
# pymilvus logs every error with its stack on its own handler; here errors are raised and told once.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)


class NotLoaded(Exception):
    """The collection is there but not in memory: Milvus was restarted."""


class MilvusCalls:
    """Clients that connect at their first call and after Milvus came back.

    timeout: seconds for a read; write_timeout: for a write or a flush. Reads are made on the event
    loop, as searches wait for them. Writes run in threads: the asynchronous client cannot make
    indexes in Milvus Lite.
    """

    def __init__(self, uri: str, token: str, *, timeout: float, write_timeout: float) -> None:
        self.timeout = timeout
        self.write_timeout = write_timeout
        self._uri = uri
        self._token = token
        self._reader: AsyncMilvusClient | None = None
        self._writer: MilvusClient | None = None
        self._connecting = threading.Lock()
        self._writers = ThreadPoolExecutor(2, thread_name_prefix="milvus-write")

    async def read(
        self,
        call: Callable[[AsyncMilvusClient], Awaitable[Result]],
        *,
        timeout: float | None = None,
    ) -> Result:
        """timeout: for a read that nobody waits for."""
        if self._reader is None:
            self._reader = AsyncMilvusClient(
                self._uri,
                token=self._token,
                timeout=self.timeout,
                grpc_options=CHANNEL,
                dedicated=True,  # one that is shared would belong to another event loop
            )
        return await self._within(call(self._reader), timeout or self.timeout)

    async def write(self, call: Callable[[MilvusClient], Result]) -> Result:
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._writers, lambda: call(self._connected()))
        return await self._within(writing, self.write_timeout)

    async def close(self) -> None:
        """Without waiting for writes in flight: each ends within its own time."""
        self._writers.shutdown(wait=False, cancel_futures=True)
        if self._reader is not None:
            await self._reader.close()
        if self._writer is not None:
            self._writer.close()

    async def _within(self, call: Awaitable[Result], timeout: float) -> Result:
        try:
            async with asyncio.timeout(timeout + 1.0):
                return await call
        except TimeoutError as error:
            raise IndexUnavailable(
                f"Milvus at {self._uri} gave no answer in {timeout} s"
            ) from error
        except (MilvusException, grpc.RpcError) as error:
            raise self._translated(error) from error

    def _connected(self) -> MilvusClient:
        with self._connecting:
            if self._writer is None:
                self._writer = MilvusClient(
                    self._uri, token=self._token, timeout=self.timeout, grpc_options=CHANNEL
                )
            return self._writer

    def _translated(self, error: MilvusException | grpc.RpcError) -> Exception:
        if isinstance(error, grpc.RpcError):
            code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
            return self._unavailable(str(code)) if code in GRPC_UNREACHABLE else error
        if error.code == NOT_FOUND:
            return IndexMissing(error.message)
        if error.code == NOT_LOADED:
            return NotLoaded(error.message)
        return self._unavailable(error.message) if error.code in UNREACHABLE else error

    def _unavailable(self, why: str) -> IndexUnavailable:
        return IndexUnavailable(f"Milvus at {self._uri} does not answer: {why}")
