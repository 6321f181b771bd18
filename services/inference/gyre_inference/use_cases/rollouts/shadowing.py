"""A second answer to the same request, unseen by the user: compared, counted and forgotten.

It has no record and says no event; nobody waits for it, and where too many wait it is left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from gyre_inference.domain.editing import GroundedText
from gyre_inference.domain.faults import Fault, Overloaded
from gyre_inference.domain.generation import Ending, FinishReason, ModelRequest
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.pairing import Checks, paired
from gyre_inference.domain.prompts import Prompt
from gyre_inference.domain.rollouts import Rollout, RolloutKind
from gyre_inference.ports import LanguageModel, Rollouts, SentenceVectors
from gyre_inference.use_cases.chains.work.requesting import choices_of, editor_for
from gyre_inference.use_cases.grounding import supported_share
from gyre_inference.use_cases.in_force import InForce
from gyre_inference.use_cases.prompting import Prompting
from gyre_inference.use_cases.telling import tell

_WAITING = 64
_WORKERS = 2
_LONGEST = 60.0


@dataclass(frozen=True)
class Told:
    """A text that was written: kept, dropped: citations. seconds: of writing."""

    text: str
    kept: int
    dropped: int
    seconds: float


@dataclass(frozen=True)
class Seen:
    """What the user got, and what it was made of. prompt: None for plain chat."""

    tenant: str
    workload: str
    experiment: str
    answer_id: str
    request: ModelRequest
    prompt: Prompt | None
    grounds: Grounds | None
    arguments: Mapping[str, object]
    told: Told


class Shadows:
    """One in every process. left_out: how many requests found the queue full."""

    def __init__(
        self,
        rollouts: Rollouts,
        in_force: InForce,
        model: LanguageModel,
        prompting: Prompting,
        vectors: SentenceVectors,
        *,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._rollouts = rollouts
        self._in_force = in_force
        self._model = model
        self._prompting = prompting
        self._vectors = vectors
        self._failed = failed
        self._queue: asyncio.Queue[tuple[Rollout, Seen]] = asyncio.Queue(_WAITING)
        self.left_out = 0

    def offer(self, seen: Seen) -> None:
        """Returns at once, whatever happens."""
        rollout = self._in_force.shadow(seen.tenant, seen.workload)
        if rollout is None or rollout.rollout_id != seen.experiment or not _drawn(rollout, seen):
            return
        try:
            self._queue.put_nowait((rollout, seen))
        except asyncio.QueueFull:
            self.left_out += 1

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def drain(self) -> None:
        """Until what waits now is compared; for tests, beside `run`."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            rollout, seen = await self._queue.get()
            try:
                await self._compare(rollout, seen)
            except Exception as error:  # one pair less
                self._failed(error)
            finally:
                self._queue.task_done()

    async def _compare(self, rollout: Rollout, seen: Seen) -> None:
        prompt = seen.prompt
        if rollout.kind is RolloutKind.PROMPT:
            if prompt is None or prompt.name != rollout.name:
                return
            prompt = await self._in_force.prompt(seen.tenant, rollout.name, rollout.candidate)
        champion = await self._checks(seen.told, seen.grounds)
        try:
            told = await self._written(await self._request(rollout, seen, prompt), seen, prompt)
            candidate = await self._checks(told, seen.grounds)
        except Overloaded:  # of its own traffic: that says nothing about the candidate
            return
        except (Fault, TimeoutError):
            candidate = None
        pair = paired(seen.answer_id, champion, candidate)
        await self._rollouts.pair(seen.tenant, rollout.rollout_id, pair)

    async def _request(self, rollout: Rollout, seen: Seen, prompt: Prompt | None) -> ModelRequest:
        request = replace(
            seen.request, request_id=f"{seen.request.request_id}-shadow", timeout=_LONGEST
        )
        if rollout.kind is RolloutKind.MODEL:
            return replace(request, model=rollout.candidate)
        assert prompt is not None
        declared = {k: v for k, v in seen.arguments.items() if k in prompt.content.arguments}
        messages = await self._prompting.messages(prompt, declared)
        parameters = prompt.parameters.over(request.parameters)
        choices = choices_of(prompt, seen.grounds)
        return replace(request, messages=messages, parameters=parameters, choices=choices)

    async def _written(self, request: ModelRequest, seen: Seen, prompt: Prompt | None) -> Told:
        editor, notes, begin = editor_for(prompt, seen.grounds), _Notes(), time.monotonic()
        async with asyncio.timeout(_LONGEST):
            async with aclosing(tell(self._model, request, notes, editor)) as texts:
                async for _ in texts:
                    pass
        kept, dropped = cited(editor)
        return Told("".join(notes.texts), kept, dropped, time.monotonic() - begin)

    async def _checks(self, told: Told, grounds: Grounds | None) -> Checks:
        marks = told.kept + told.dropped
        lines = [sentence.line for sentence in grounds.sentences] if grounds else []
        try:
            share = await supported_share(self._vectors, told.text, lines) if lines else None
        except Fault:  # the embedding service is away: the other checks remain
            share = None
        valid = told.kept / marks if marks else 1.0
        return Checks(valid, share, len(told.text), told.seconds)


class _Notes:
    """What the shadow said; kept nowhere."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.finish = FinishReason.STOP

    def said(self, text: str) -> None:
        self.texts.append(text)

    def ended(self, ending: Ending) -> None:
        self.finish = ending.reason


def cited(editor: object) -> tuple[int, int]:
    """Citations kept and dropped."""
    if isinstance(editor, GroundedText):
        return len(editor.citations), editor.dropped
    return 0, 0


def _drawn(rollout: Rollout, seen: Seen) -> bool:
    hashed = hashlib.sha256(f"shadow\n{seen.answer_id}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") / 2**64 < rollout.plan.shadow_share
