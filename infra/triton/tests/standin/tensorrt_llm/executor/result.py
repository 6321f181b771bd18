"""Results: one object per request, which an async iteration gives again and again."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tensorrt_llm.executor.utils import RequestError


@dataclass(slots=True)
class Logprob:
    logprob: float
    rank: int | None = None


@dataclass(slots=True)
class CompletionOutput:
    index: int
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[dict[int, Logprob]] = field(default_factory=list)
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    _last_token_ids_len: int = 0
    _last_logprobs_len: int = 0

    @property
    def token_ids_diff(self) -> list[int]:
        return self.token_ids[self._last_token_ids_len :]

    @property
    def logprobs_diff(self) -> list[dict[int, Logprob]]:
        return self.logprobs[self._last_logprobs_len :]


@dataclass(frozen=True)
class Response:
    """One step's part of an answer, as the engine's process sends it."""

    tokens: tuple[int, ...] = ()
    logprobs: tuple[dict[int, Logprob], ...] = ()
    finish_reason: str | None = None
    dropped: int = 0
    cached_tokens: int = 0
    error: Exception | str | None = None


class RequestOutput:
    """Made by `LLM.generate_async` only, inside a running event loop."""

    def __init__(self, request_id: int, prompt: list[int], abort: Callable[[int], None]) -> None:
        self.request_id, self.prompt_token_ids = request_id, prompt
        self.outputs = [CompletionOutput(0)]
        self.cached_tokens = 0
        self._done, self._aborted, self._abort = False, False, weakref.WeakMethod(abort)
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Response] = asyncio.Queue()

    @property
    def finished(self) -> bool:
        return self._done

    def aborted(self) -> bool:
        return self._aborted

    def abort(self) -> None:
        engine = self._abort()
        assert engine is not None, "The executor is not set for this result."
        engine(self.request_id)
        self._aborted = True

    def __aiter__(self) -> RequestOutput:
        return self

    async def __anext__(self) -> RequestOutput:
        if self._done:
            raise StopAsyncIteration
        self._handle(await self._queue.get())
        return self

    def put(self, response: Response) -> None:
        """From the engine's thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, response)

    def _handle(self, response: Response) -> None:
        if isinstance(response.error, str):
            self._done = True
            raise RequestError(response.error)
        if response.error is not None:
            raise response.error
        output = self.outputs[0]
        output._last_token_ids_len = len(output.token_ids)
        output._last_logprobs_len = len(output.logprobs)
        output.token_ids.extend(response.tokens)
        output.logprobs.extend(response.logprobs)
        self.cached_tokens = response.cached_tokens
        if response.finish_reason is not None:
            self._done, output.finish_reason = True, response.finish_reason
            if response.dropped:
                output.token_ids = output.token_ids[: -response.dropped]


class IterationResult:
    """Figures of the engine's steps; ends when none came for the timeout."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str] = asyncio.Queue(1000)
        self._timeout: float | None = 2
        self._done = False

    def set_timeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def mark_undone(self) -> None:
        self._done = False

    def put(self, figures: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._keep, json.dumps(figures))

    def _keep(self, line: str) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(line)

    def __aiter__(self) -> IterationResult:
        return self

    async def __anext__(self) -> dict[str, Any]:
        if self._done:
            raise StopAsyncIteration
        try:
            line = await asyncio.wait_for(self._queue.get(), self._timeout)
        except TimeoutError:
            self._done = True
            raise StopAsyncIteration from None
        figures: dict[str, Any] = json.loads(line)
        return figures
