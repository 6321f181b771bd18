"""Steps with steps inside: branch, map."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.use_cases.chains.events import StepEvent
from gyre_inference.use_cases.chains.run import Doing
from gyre_inference.use_cases.chains.running import Steps
from gyre_inference.use_cases.chains.work.judging import is_true

_AT_ONCE = 4
_AT_MOST = 32
_LIMIT = 256
Told = StepEvent | BaseException | None


class Branch:
    """One arm or the other; it makes what the arm's last step makes."""

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        step = doing.step
        arm = step.then if is_true(doing.given["when"]) else step.otherwise
        scope = doing.scope.inside(doing.step_id)
        async with aclosing(runner.steps(arm, scope, doing.run)) as events:
            async for event in events:
                yield event
        doing.output = scope.values.get(arm[-1].name) if arm else None


class Map:
    """The same steps for each part, some at once; it makes a list of what the last step makes."""

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`. A fault in one part ends the others."""
        parts = _parts(doing)
        outputs: list[object] = [None] * len(parts)
        told: asyncio.Queue[Told] = asyncio.Queue(maxsize=64)
        gate = asyncio.Semaphore(int(doing.given.get("at_once") or _AT_ONCE))  # type: ignore[call-overload]

        async def one(place: int, part: object) -> None:
            name = str(doing.given["as"])
            scope = doing.scope.inside(doing.step_id, f"[{place}]", **{name: part})
            async with gate, aclosing(runner.steps(doing.step.then, scope, doing.run)) as events:
                async for event in events:
                    await told.put(event)
            outputs[place] = scope.values.get(doing.step.then[-1].name)

        working = asyncio.create_task(_all(told, [one(n, part) for n, part in enumerate(parts)]))
        try:
            async with aclosing(_events(told)) as events:
                async for event in events:
                    yield event
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        doing.output = outputs


async def _all(told: asyncio.Queue[Told], work: list) -> None:  # type: ignore[type-arg]
    """The last thing told is the end, or what went wrong first."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        await told.put(errors.exceptions[0])
    else:
        await told.put(None)


async def _events(told: asyncio.Queue[Told]) -> AsyncGenerator[StepEvent]:
    while (event := await told.get()) is not None:
        if isinstance(event, BaseException):
            raise event
        yield event


def _parts(doing: Doing) -> list[object]:
    parts = doing.given["over"]
    if not isinstance(parts, list | tuple):
        raise InvalidRequest({f"{doing.step_id}.over": "must be a list"})
    most = min(int(doing.given.get("at_most") or _AT_MOST), _LIMIT)  # type: ignore[call-overload]
    if len(parts) > most:
        raise InvalidRequest(
            {f"{doing.step_id}.over": f"has {len(parts)} parts, at most {most} are allowed"}
        )
    return list(parts)
