"""Steps that ask other servers: embed, http."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.values import plain
from gyre_inference.ports import HttpCall, HttpTools, SentenceVectors
from gyre_inference.use_cases.chains.events import StepEvent
from gyre_inference.use_cases.chains.run import Doing
from gyre_inference.use_cases.chains.running import Steps

_TEXTS = 256
_SECONDS = 10.0


class Embed:
    """Vectors of texts, in unit length."""

    def __init__(self, vectors: SentenceVectors) -> None:
        self._vectors = vectors

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        given = doing.given["texts"]
        texts = [str(one) for one in given] if isinstance(given, list | tuple) else [str(given)]
        if not 1 <= len(texts) <= _TEXTS or not all(text.strip() for text in texts):
            raise InvalidRequest({f"{doing.step_id}.texts": f"must be 1 to {_TEXTS}, none empty"})
        vectors = await self._vectors.vectors(texts)
        doing.output = {"vectors": vectors, "dimension": len(vectors[0])}
        return
        yield


class Http:
    """A tool of an allowed host. A repeat after an interruption carries the same key."""

    def __init__(self, tools: HttpTools) -> None:
        self._tools = tools

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        given, run = doing.given, doing.run
        headers = given.get("headers") or {}
        if not isinstance(headers, Mapping):
            raise InvalidRequest({f"{doing.step_id}.headers": "must be a mapping"})
        seconds = float(given.get("seconds") or _SECONDS)  # type: ignore[arg-type]
        doing.output = await self._tools.call(
            HttpCall(
                method=str(given.get("method") or ("POST" if "body" in given else "GET")),
                url=str(given["url"]),
                headers={str(name): str(value) for name, value in headers.items()},
                body=plain(given.get("body")),
                seconds=min(seconds, run.time_left),
                key=f"{run.ledger.chain_run_id}/{doing.step_id}",
            )
        )
        return
        yield
