"""Feast in a process of its own: it needs seconds to load and hundreds of megabytes."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gyre_feedback.domain.scores import EntityKind
from gyre_feedback.ports import FeatureQuery, FeatureRow, FeaturesUnavailable

START_TIMEOUT = 180.0
_LINE = 64 << 20


class FeastFeatureStore:
    """`FeatureStore`. The process starts with the first call, and again after it died."""

    def __init__(self, folder: Path, online: str, *, timeout: float) -> None:
        self._command = (sys.executable, "-m", "gyre_features", str(folder.absolute()), online)
        self._folder, self._timeout = folder, timeout
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None

    async def write(self, kind: EntityKind, rows: Sequence[FeatureRow], batch: str) -> None:
        given = [{**_key(row.entity), **row.values, "event_time": row.event_time} for row in rows]
        await self._ask({"do": "write", "kind": kind, "rows": given, "batch": batch})

    async def read(
        self, kind: EntityKind, queries: Sequence[FeatureQuery]
    ) -> Sequence[FeatureRow | None]:
        then = queries[0].as_of_time is not None
        wanted = [{**_key(one.entity), "as_of_time": one.as_of_time} for one in queries]
        found = await self._ask({"do": "then" if then else "now", "kind": kind, "rows": wanted})
        return [_row(query, one) for query, one in zip(queries, found, strict=True)]

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def _ask(self, question: dict[str, Any]) -> Any:
        async with self._turn:
            try:
                process = await self._running()
                async with asyncio.timeout(self._timeout):
                    answer = await _exchange(process, question)
            except (TimeoutError, OSError, EOFError) as error:
                await self.close()
                raise FeaturesUnavailable(f"the feature store does not answer: {error}") from error
            except asyncio.CancelledError:
                await self.close()  # else the next question would get this one's answer
                raise
        if "error" in answer:
            raise FeaturesUnavailable(f"the feature store failed: {answer['error']:.300}")
        return answer["ok"]

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, limit=_LINE, start_new_session=True
            )
            async with asyncio.timeout(START_TIMEOUT):
                await _line(self._process)
        return self._process


async def _exchange(process: Process, question: dict[str, Any]) -> Any:
    assert process.stdin is not None
    process.stdin.write(json.dumps(question).encode() + b"\n")
    await process.stdin.drain()
    return await _line(process)


async def _line(process: Process) -> Any:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise EOFError("its process ended")
    return json.loads(line)


async def _end(process: Process) -> None:
    """Its input's end is its own; a process that does not hear is killed."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(5.0):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _key(entity: Any) -> dict[str, str]:
    return {"tenant": entity.tenant, "entity_id": entity.entity_id, "metric": entity.metric}


def _row(query: FeatureQuery, values: dict[str, float | None]) -> FeatureRow | None:
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return None
    return FeatureRow(query.entity, known.pop("known_at", 0.0), known)
